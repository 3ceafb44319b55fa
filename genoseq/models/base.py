"""A whole model: backbone, head, tokenizer, and what a reader of its predictions needs to know."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.models import embedding, generation, likelihood, strand_use
from genoseq.models.backbone import Backbone, BackboneOutput
from genoseq.models.generation import GeneratedSequence
from genoseq.models.heads import Head, PlainPooling, TokenHead
from genoseq.models.sampling import Sampling
from genoseq.models.windows import read_in_windows, windows_of
from genoseq.sequence import Letters, Strand, StrandPolicy, Strands
from genoseq.sequence.feasible import Feasible
from genoseq.tokenizers import Tokenizer, encode_codons


@dataclass
class ModelOutput:
    """Attributes:
    logits: what the head gives: (B, L, V) of the next token, (B, num_outputs) or (B, L, num_outputs); empty
        where the loss alone was asked for.
    last_hidden_state: (B, L, D).
    hidden_states: the embeddings, the output of every block, and `last_hidden_state`; None unless asked for.
    loss: () where labels were given.
    """

    logits: torch.Tensor
    last_hidden_state: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...] | None = None
    loss: torch.Tensor | None = None


class SequenceModel(nn.Module):
    """A backbone under a head.

    Args:
        backbone: tokens to hidden states.
        head: hidden states to predictions; made for this very backbone.
        tokenizer: letters to tokens; None where there is no such thing.
        preprocessing: what else makes the model's input and names its output, as JSON can hold it: `classes`,
            `strand` of the labels, `strands` (the policy that it was trained with), `window` and
            `window_stride` (tokens; see `genoseq.models.windows`) ...

    Raises:
        ConfigError: the tokenizer has more tokens than the backbone, or the model is not for such a policy of
            strands.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        tokenizer: Tokenizer | None = None,
        preprocessing: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if tokenizer is not None and tokenizer.vocab_size > backbone.vocab_size:
            raise ConfigError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, the backbone room for "
                f"{backbone.vocab_size}: set the model's vocab_size to the tokenizer's."
            )
        self.backbone = backbone
        self.head = head
        self.tokenizer = tokenizer
        self.preprocessing = dict(preprocessing or {})
        self.windows = windows_of(self.preprocessing, head, passes=self.strand_policy().passes)

    def reset_parameters(self) -> None:
        """Draw all first values again, those of the backbone first."""
        self.backbone.reset_parameters()
        self.head.reset_parameters()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.input_embedding.weight.device

    def encode(self, sequence: str, strand: Strand = "+") -> np.ndarray:
        """Token ids of a sequence, (L,) int64, without special tokens, as the model was taught to read it.

        Args:
            sequence: nucleotide letters.
            strand: "-" where they are the reverse complement of what it reads: codons of a model that was
                trained with `coding: whole` are those of the other strand.

        Raises:
            SequenceError: no nucleotides, or, for a model of codons, no whole number of them.
            ConfigError: there is no tokenizer.
        """
        return self.encode_each([sequence], strand)[0]

    def encode_each(self, sequences: Sequence[str], strand: Strand = "+") -> list[np.ndarray]:
        """`encode` of several sequences, in less time."""
        if self.tokenizer is None:
            raise ConfigError("this model has no tokenizer: give it one, or call it with token ids.")
        if self.preprocessing.get("coding") == "whole":
            return [encode_codons(self.tokenizer, sequence, strand) for sequence in sequences]
        return self.tokenizer.encode_each(sequences)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        labels: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
        second_pass: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        loss_only: bool = False,
    ) -> ModelOutput:
        """Predictions for a batch, and their loss.

        Args:
            input_ids: (B, L) integers.
            attention_mask: (B, L) bool, False at padding, which then changes nothing; without it padding is
                a token like any other, as in the official models.
            labels: what the head's `loss` wants; -100 counts for nothing. A language model's are the input
                ids.
            segment_ids: (B, L); neighbours of one id are one sequence, apart from the others in its row.
            second_pass: (B, L) bool; where each row is a sequence given twice (`encode_passes`), its second
                time: the head sees this alone.
            output_hidden_states: also give the hidden states of every layer.
            loss_only: with labels, spare the memory of the predictions: `logits` is empty.

        Raises:
            SequenceError: a sequence is longer than the backbone's `l_max`, and not read in windows.
        """
        mask = None if attention_mask is None else attention_mask.bool()
        if self.windows is not None and input_ids.shape[1] > self.windows.length:
            return self._read_in_windows(input_ids, mask, labels)
        if second_pass is not None:
            strand_use.require_room_for_two(self, input_ids, mask)
        hidden: BackboneOutput = self.backbone(
            input_ids, mask, segment_ids=segment_ids, output_hidden_states=output_hidden_states
        )
        last = hidden.last_hidden_state
        mask = mask if second_pass is None else second_pass
        if loss_only:
            assert labels is not None, "there is no loss without labels"
            only = self.head.hidden_loss(last, labels, mask=mask, segment_ids=segment_ids)
            return ModelOutput(last.new_empty(0), last, hidden.hidden_states, only)
        logits = self.head(last, mask)
        loss = None if labels is None else self.head.loss(logits, labels, mask=mask, segment_ids=segment_ids)
        return ModelOutput(logits, last, hidden.hidden_states, loss)

    def _read_in_windows(
        self, input_ids: torch.Tensor, mask: torch.Tensor | None, labels: torch.Tensor | None
    ) -> ModelOutput:
        assert self.windows is not None
        last, real = read_in_windows(self.backbone, input_ids, mask, self.windows)
        if isinstance(self.head, TokenHead):
            length = input_ids.shape[1]
            last, real = last[:, :length], real[:, :length]
        logits = self.head(last, real)
        loss = None if labels is None else self.head.loss(logits, labels, mask=real)
        return ModelOutput(logits, last, None, loss)

    def generate(
        self,
        prompt: str | None = None,
        *,
        length: int,
        num_sequences: int = 1,
        control: str | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int = 0,
        first_index: int = 0,
    ) -> list[str]:
        """New sequences, of the label `control`; `sample` has more settings, and gives log-likelihoods."""
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
        results = self.sample(
            prompt,
            length=length,
            num_sequences=num_sequences,
            control=control,
            sampling=sampling,
            seed=seed,
            first_index=first_index,
        )
        return [result.sequence for result in results]

    def sample(
        self,
        prompt: str | None = None,
        *,
        length: int,
        num_sequences: int = 1,
        control: str | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        seed: int = 0,
        first_index: int = 0,
        feasible: Feasible | None = None,
        drawn: Callable[[int], None] = lambda _: None,
    ) -> list[GeneratedSequence]:
        """New sequences with their log-likelihoods; see `genoseq.models.generation.generate`."""
        return generation.generate(
            self,
            prompt,
            length=length,
            num_sequences=num_sequences,
            control=control,
            sampling=sampling,
            seed=seed,
            first_index=first_index,
            feasible=feasible,
            drawn=drawn,
        )

    def embed(
        self,
        sequences: str | Sequence[str],
        *,
        layer: int = -1,
        pooling: PlainPooling = "mean",
        strands: Strands = "none",
        chunk_length: int | None = None,
        context: int | None = None,
    ) -> torch.Tensor:
        """A vector a sequence, (B, D); see `genoseq.models.embedding.embed`."""
        return embedding.embed(
            self,
            sequences,
            layer=layer,
            pooling=pooling,
            strands=strands,
            chunk_length=chunk_length,
            context=context,
        )

    def strand_policy(self, strands: Strands | None = None) -> StrandPolicy:
        """What becomes of the two strands in predictions; see `genoseq.models.strand_use.policy_of`."""
        return strand_use.policy_of(self, strands)

    def log_prob(self, sequence: str) -> pd.DataFrame:
        """Log-probability of every base given those before it; see `genoseq.models.likelihood.log_prob`."""
        return likelihood.log_prob(self, sequence)

    def log_prob_chunks(
        self,
        sequence: Letters,
        *,
        chunk_length: int = 65_536,
        context: int | None = None,
        batch_size: int = 8,
    ) -> Iterator[pd.DataFrame]:
        """The same in pieces; see `genoseq.models.likelihood.log_prob_chunks`."""
        return likelihood.log_prob_chunks(
            self, sequence, chunk_length=chunk_length, context=context, batch_size=batch_size
        )

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the model as a folder that `genoseq.load` reads; see `genoseq.models.writing.save`."""
        from genoseq.models.writing import save

        return save(self, folder)
