"""Teachers: what is known of the residues of a protein, for a model of DNA to learn from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from Bio.Align import substitution_matrices
from Bio.SeqUtils import ProtParamData
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.models.esm2 import ESM2
from genoseq.models.hub import load_sequence_model
from genoseq.sequence import (
    AMBIGUOUS,
    RESIDUE_LETTERS,
    RESIDUES,
    STOP,
    encode_residues,
    require_protein,
)

# Hydropathy (Kyte and Doolittle), flexibility, hydrophilicity (Hopp and Wood), surface (Emini), interior to
# surface (Janin): the scales of Bio.SeqUtils.ProtParamData that have names of their own.
_SCALES = ("kd", "Flex", "hw", "em", "ja")

# The vocabulary of ESM-2, from its published model.
_ESM2_TOKENS = (
    *("<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"),
)


class ProteinTeacher(ABC):
    """States of residues, which are given and never learnt.

    Attributes:
        width: W, of a state.
        knows: (27,) bool, of which of `RESIDUE_LETTERS` there are states; never of the stop.
        model: whose states they are; None where there is no model.
    """

    width: int
    knows: torch.Tensor
    model: nn.Module | None = None

    @abstractmethod
    def __call__(self, residues: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States of proteins.

        Args:
            residues: (B, R) int64, places in `RESIDUE_LETTERS`; a stop stands at an end, if anywhere.
            mask: (B, R) bool, False where a row is filled up, on the right.

        Returns:
            (B, R, W) floating point, on the device of `residues`; where the teacher does not know the residue
            it says nothing of use.
        """

    def states(self, protein: str) -> torch.Tensor:
        """States of one protein, (R, W).

        Raises:
            RecordError: letters that are no residues.
            SequenceError: there is no residue, or one that the teacher does not know.
        """
        letters = require_protein(protein, "the protein").removesuffix(STOP)
        if not letters:
            raise SequenceError("the protein has no residue: give one or more.")
        residues = torch.from_numpy(encode_residues(letters))
        unknown = ~self.knows[residues]
        if unknown.any():
            place = int(unknown.int().argmax())
            known = "".join(np.array(list(RESIDUE_LETTERS))[self.knows.numpy()])
            raise SequenceError(
                f"{self} knows nothing of {letters[place]!r} at residue {place} (counted from 0); it knows "
                f"{known}. Leave the protein out, or ask of its parts."
            )
        return self(residues[None], torch.ones(1, len(residues), dtype=torch.bool))[0]

    def rehearse(self, input_ids: torch.Tensor) -> torch.Tensor:
        """What is said of the most residues that so many bases (B, L) may be: to count its memory."""
        residues = input_ids.new_zeros(len(input_ids), -(-input_ids.shape[1] // 3))
        return self(residues, torch.ones_like(residues, dtype=torch.bool))

    def __str__(self) -> str:
        return type(self).__name__


class ResidueProperties(ProteinTeacher):
    """What residues are like, from the tables of biopython, each column z-scored over the 20 residues.

    B, Z and J are the mean of the residues that they may be; of others nothing is known. With a `window`, a
    state is the mean over the neighbours in the protein, so that there is something to learn beyond the
    residue's own name.

    Args:
        matrix: substitution matrix, such as BLOSUM62: a residue's scores against the 20; None for none.
        scales: of `Bio.SeqUtils.ProtParamData`: `kd`, `Flex`, `hw`, `em`, `ja`.
        window: residues of the mean, an odd number; 1 for the residue alone.

    Raises:
        ConfigError: there is no such table, none at all, or a window that has no middle.
    """

    def __init__(
        self, *, matrix: str | None = "BLOSUM62", scales: Sequence[str] = _SCALES, window: int = 1
    ) -> None:
        if window < 1 or window % 2 == 0:
            raise ConfigError(f"window={window}: give an odd number, 1 for each residue alone.")
        columns = [] if matrix is None else list(_substitutions(matrix).T)
        for name in scales:
            require_choice("scales", name, _SCALES)
            scale = getattr(ProtParamData, name)
            columns.append(np.array([scale[residue] for residue in RESIDUES]))
        if not columns:
            raise ConfigError("matrix=null and scales=[]: give one of them, there is nothing to teach.")
        values = np.stack(columns, axis=1)
        values = (values - values.mean(0)) / values.std(0)
        self.width = values.shape[1]
        self.window = window
        table = np.zeros((len(RESIDUE_LETTERS), self.width), dtype=np.float32)
        table[: len(RESIDUES)] = values
        for letter, meant in AMBIGUOUS.items():
            table[encode_residues(letter)] = values[encode_residues(meant)].mean(0)
        self.knows = torch.tensor([letter in {*RESIDUES, *AMBIGUOUS} for letter in RESIDUE_LETTERS])
        self._table = torch.from_numpy(table)

    def __call__(self, residues: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = self._table.to(residues.device)[residues]
        if self.window == 1:
            return states
        known = (self.knows.to(residues.device)[residues] & mask).unsqueeze(-1).to(states.dtype)
        return self._sums(states * known) / self._sums(known).clamp(min=1)

    def _sums(self, values: torch.Tensor) -> torch.Tensor:
        """(B, R, W) over the window, to the same."""
        half = self.window // 2
        return F.pad(values, (0, 0, half, half)).unfold(1, self.window, 1).sum(-1)


class ESM2Teacher(ProteinTeacher):
    """The hidden states of ESM-2, which knows each residue in its protein.

    It reads the residues that the student does: of a gene that was cut, a part of the protein.

    Args:
        checkpoint: anything of ESM-2 that `genoseq.load` takes: a folder, or the id of a repository.
        layer: whose states; -1 for the last, 0 for the embeddings.

    Raises:
        ConfigError: the checkpoint is of another model or vocabulary, or has no such layer.
        CheckpointError: as `genoseq.load`.
    """

    def __init__(self, *, checkpoint: str | os.PathLike[str], layer: int = -1) -> None:
        backbone = load_sequence_model(checkpoint).backbone
        if not isinstance(backbone, ESM2) or backbone.vocab_size != len(_ESM2_TOKENS):
            raise ConfigError(
                f"checkpoint={checkpoint} is a {type(backbone).__name__} of {backbone.vocab_size} tokens: "
                f"this teacher is an ESM-2, of {len(_ESM2_TOKENS)}."
            )
        if not -backbone.num_layers - 2 <= layer <= backbone.num_layers + 1:
            raise ConfigError(f"layer={layer}: the teacher has layers 0 to {backbone.num_layers + 1}, or -1.")
        self.model: ESM2 = backbone.requires_grad_(False)
        self._layer = layer
        self.width = backbone.d_model
        unknown = _ESM2_TOKENS.index("<unk>")
        ids = [_ESM2_TOKENS.index(r) if r in _ESM2_TOKENS else unknown for r in RESIDUE_LETTERS]
        self._ids = torch.tensor(ids)
        self.knows = self._ids != unknown

    @torch.no_grad()
    def __call__(self, residues: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        device = residues.device
        if next(self.model.parameters()).device != device:
            self.model.to(device)
        begin, pad, end = (_ESM2_TOKENS.index(token) for token in ("<cls>", "<pad>", "<eos>"))
        lengths = (mask & (residues != RESIDUE_LETTERS.index(STOP))).sum(1, keepdim=True)
        place = torch.arange(-1, residues.shape[1] + 1, device=device)
        tokens = F.pad(self._ids.to(device)[residues], (1, 1), value=begin)
        tokens = tokens.where(place < lengths, pad).masked_fill(place == lengths, end)
        hidden = self.model(tokens, place <= lengths, output_hidden_states=True).hidden_states
        assert hidden is not None
        return hidden[self._layer][:, 1:-1]


def _substitutions(name: str) -> np.ndarray:
    """(20, 20) scores of `RESIDUES`."""
    require_choice("matrix", name, substitution_matrices.load())
    matrix = substitution_matrices.load(name)
    missing = [residue for residue in RESIDUES if residue not in matrix.alphabet]
    if missing:
        raise ConfigError(f"matrix={name} lacks {', '.join(missing)}: give another, as BLOSUM62.")
    return np.array([[matrix[row, column] for column in RESIDUES] for row in RESIDUES])
