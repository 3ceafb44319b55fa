"""What `three_omics.py` asks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from three_omics_tasks import Row, Study
from torch import nn

from genoseq import benchmark
from genoseq.data import as_substitutions
from genoseq.errors import ConfigError
from genoseq.inference import change_scores, codon_states
from genoseq.models import SequenceModel
from genoseq.sequence import UnifiedSequence
from genoseq.sequence.residues import RESIDUES


class Model:
    """What is asked of a model.

    Args:
        model: with a tokenizer.
        study: the tasks.
        batch_size: sequences at a time.
    """

    def __init__(self, model: SequenceModel, study: Study, batch_size: int) -> None:
        self.model, self.study, self.batch_size = model, study, batch_size
        self._known: dict[str, np.ndarray] = {}

    def states(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """(C, D) states of the codons of each sequence; sequences of like length together."""
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        given = [sequences[index] for index in order]
        found = list(codon_states(self.model, given, batch_size=self.batch_size))
        return [found[place] for place in np.argsort(order)]

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        """(N, D) means over codons."""
        new = [letters for letters in sequences if letters not in self._known]
        self._known |= {
            letters: states.mean(0) for letters, states in zip(new, self.states(new), strict=True)
        }
        return np.stack([self._known[letters] for letters in sequences])

    def residues(self, genes: Sequence[int]) -> list[np.ndarray]:
        """(R, D) states of the residues of genes: those of their codons without the stop."""
        records = [self.study.records[gene] for gene in genes]
        states = self.states([record.coding_letters for record in records])
        return [each[: len(record.protein)] for each, record in zip(states, records, strict=True)]

    @cached_property
    def probe(self) -> LogisticRegression:
        """From the state of a codon to its residue, fitted on the genes that probes see."""
        genes = self.study.parts.train.tolist()
        states = np.concatenate(self.residues(genes))
        letters = np.array(list("".join(self.study.proteins[gene] for gene in genes)))
        known = np.isin(letters, list(RESIDUES))
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=200))
        return fitted.fit(states[known], letters[known])

    def probed(self, states: np.ndarray) -> np.ndarray:
        """(C, 20) log-probabilities of residues by the probe."""
        table = np.full((len(states), len(RESIDUES)), -20.0)
        columns = [RESIDUES.index(letter) for letter in self.probe.classes_]
        table[:, columns] = self.probe.predict_log_proba(states)
        return table

    @torch.inference_mode()
    def told(self, states: np.ndarray) -> np.ndarray:
        """(C, 20) log-probabilities of residues by the model's own head, whose classes begin with them."""
        head = cast(nn.Module, self.model.head.translation)
        logits = head(torch.from_numpy(states).to(self.model.device))
        return logits.float().log_softmax(dim=-1)[:, : len(RESIDUES)].cpu().numpy()

    def rows(self, contacts: list[np.ndarray] | None) -> Row:
        """All estimates."""
        study = self.study
        readers = {"probe": self.probed}
        if hasattr(self.model.head, "translation"):
            readers["head"] = self.told
        found: Row = {}
        for name, read in readers.items():

            def log_probs(sequences: Sequence[str], read: object = read) -> list[np.ndarray]:
                return [read(states) for states in self.states(sequences)]  # type: ignore[operator]

            def translate(records: Sequence[UnifiedSequence], read: object = log_probs) -> list[str]:
                tables = read([record.coding_letters for record in records])  # type: ignore[operator]
                letters = np.array(list(RESIDUES))
                return [
                    "".join(letters[table[: len(record.protein)].argmax(1)])
                    for table, record in zip(tables, records, strict=True)
                ]

            found |= study.translation(translate, f"translation by {name}")
            score = benchmark.residue_likelihood_score(log_probs)
            found |= study.matching(score, f"matching by translation, {name}")
        cosine = benchmark.similarity_score(self.embed, study.usage)
        found |= study.matching(cosine, "matching by cosine")
        fitted = benchmark.probe_score(self.embed, study.usage, study.train_pairs)
        found |= study.matching(fitted, "matching by vectors, fitted")
        try:
            changes = change_scores(self.model, as_substitutions(study.changes), batch_size=self.batch_size)
            found |= study.substitutions(changes)
        except ConfigError as error:
            print(f"no changes: {error}")
        return found | study.surroundings(self.residues, contacts)
