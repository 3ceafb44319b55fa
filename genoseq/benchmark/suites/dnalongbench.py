"""DNALongBench: effects from afar, in windows of up to 450,000 bases, and signals base by base.

Source: Cheng et al., Nature Communications 2025; the folders are those that the authors' `load_data` reads
(`dnalongbench/utils.py` of ma-compbio/DNALONGBENCH).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from genoseq.benchmark.suites.base import Suite, Task
from genoseq.benchmark.suites.gene_pairs import CLASSES, PairFiles, pair_table
from genoseq.benchmark.suites.signal_windows import FILES, TRACKS, SignalWindows
from genoseq.errors import ConfigError

_CELLS = (
    "Adipose_Subcutaneous", "Artery_Tibial", "Cells_Cultured_fibroblasts", "Muscle_Skeletal", "Nerve_Tibial",
    "Skin_Not_Sun_Exposed_Suprapubic", "Skin_Sun_Exposed_Lower_leg", "Thyroid", "Whole_Blood",
)  # fmt: skip
_ENHANCERS, _EQTL, _INITIATION = "enhancer_target_gene", "eqtl", "transcription_initiation"
_CONFIGS = {_ENHANCERS: "CRISPRi_EPI_K562_hg19"} | {f"{_EQTL}_{cell}": f"gtex_hg38.{cell}" for cell in _CELLS}
_SUBSETS = {"train": "train", "validation": "valid", "test": "test"}
_NOT_HERE = {
    "contact_map": "labels are of pairs of bins (99,681 numbers a window)",
    "regulatory_activity": "labels are of bins of 128 bases (896 x 5,313 numbers a window, in TFRecord)",
}


class DNALongBench(Suite):
    """Three of the five tasks; the other two have labels that no task of genoseq learns, and are refused.

    - `enhancer_target_gene`: `enhancer_target_gene/config/CRISPRi_EPI_K562_hg19.config`, and what it names.
    - `eqtl_{tissue}`, nine of them: `eQTL/config/gtex_hg38.{tissue}.config`, and what it names. The two
      alleles follow each other in one sequence, where the authors' models read them apart.
    - `transcription_initiation`: `transcription_initiation_signal_prediction/{seqs,targets}`.

    Verified against the authors' loader: names of files and columns, how sequences are cut, masked and
    turned, the tracks, what replaces what in them, and the held-out chromosomes. Not verified: the files
    themselves, which were not at hand, and which windows of signals the authors trained on.

    Args:
        name, folder, repository, revision, tasks: as for every suite; the files are on no hub.
        length: bases of a window of signals.
        windows: of signals, of each part; fewer than there are leave some out, evenly.
        chromosomes: of signals that are held out, by part.
        seed: of the windows to train on.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        repository: str | None,
        revision: str | None,
        tasks: Sequence[str] | None,
        length: int,
        windows: Mapping[str, int],
        chromosomes: Mapping[str, Sequence[str]],
        seed: int,
    ) -> None:
        super().__init__(name=name, folder=folder, repository=repository, revision=revision, tasks=tasks)
        self._signals = partial(
            SignalWindows, length=length, windows=dict(windows), chromosomes=dict(chromosomes), seed=seed
        )

    @property
    def names(self) -> tuple[str, ...]:
        return (*_CONFIGS, _INITIATION)

    def tasks(self) -> list[Task]:
        """The tasks that were chosen.

        Raises:
            ConfigError: there is no such task, or none that can be learnt here.
            DataError: files are missing, cut short, or not in the official form.
        """
        for task in self._chosen or ():
            reason = next((why for prefix, why in _NOT_HERE.items() if task.startswith(prefix)), None)
            if reason is not None:
                raise ConfigError(
                    f"suite.tasks: {task} of {self.name} cannot be learnt here: its {reason}, and a model "
                    f"here gives a label a sequence or a base. There are {', '.join(self.names)}."
                )
        return super().tasks()

    def files(self, task: str) -> list[str]:
        if task == _INITIATION:
            return list(FILES)
        config = self._config(task)
        if not (self.folder / config).is_file():
            return [config]
        return [config, *(f"{_folder(task)}/{name}" for name in self._pairs(task).names)]

    def read(self, task: str) -> Task:
        return self._read_signals() if task == _INITIATION else self._read_pairs(task)

    def _read_pairs(self, task: str) -> Task:
        below, files = self.folder / _folder(task), self._pairs(task)
        sources = [self.folder / name for name in self.files(task)]
        parts: dict[str, Any] = {
            part: self.converted(
                sources,
                partial(pair_table, below, files, subset, alleles=task != _ENHANCERS),
                f"{task}\t{part}",
            )
            for part, subset in _SUBSETS.items()
        }
        return Task(name=task, **parts, metric="auroc", classes=CLASSES, published=(self.name, task))

    def _read_signals(self) -> Task:
        signals = self._signals(self.folder)
        sources = [self.folder / name for name in FILES]
        parts: dict[str, Any] = {
            part: self.converted(sources, partial(signals.table, part), f"{part}\t{signals}")
            for part in _SUBSETS
        }
        return Task(
            name=_INITIATION,
            **parts,
            metric="pearson",
            problem="regression",
            level="token",
            label_column=TRACKS,
            published=(self.name, _INITIATION),
        )

    def _config(self, task: str) -> str:
        return f"{_folder(task)}/config/{_CONFIGS[task]}.config"

    def _pairs(self, task: str) -> PairFiles:
        keys = ("EPI_file", "enhancer_tabix_file") if task == _ENHANCERS else ("eQTL_file", "eQTL_tabix_file")
        path: Path = self.folder / self._config(task)
        return PairFiles.read(path, table=keys[0], masked=keys[1])


def _folder(task: str) -> str:
    return _ENHANCERS if task == _ENHANCERS else "eQTL"
