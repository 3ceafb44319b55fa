"""Learning from windows of recordings: hidden samples, and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from genoseq.data.loading import is_labelled
from genoseq.errors import ConfigError
from genoseq.models import RecordingModel, SignalOutput
from genoseq.nn.losses import Problem
from genoseq.nn.patch_masks import patch_mask
from genoseq_tasks.base import Batch, SequenceTask
from genoseq_tasks.labels import LabelTask

# Apart from the random numbers that the data draw from (seed, epoch, index).
_STREAM = 0x4D5347
_SHOWN_WINDOWS = 8
_SHOWN_EMBEDDINGS = 400


class MaskedRecording(SequenceTask):
    """Learn to reconstruct hidden stretches of a window from all around them.

    Which are hidden is a function of (seed, epoch, index): each window has a mask of its own, the same in any
    batch. Evaluation hides the same ones each time. Channels that were not measured are never among them.

    Args:
        model, optimizer, schedule, seed: as for every task; the model reconstructs (`num_outputs` 0).
        masked_fraction: of the patches, those that are hidden.
        patch_channels: neighbouring channels that are hidden together.
        patch_samples: samples of a patch.

    Raises:
        ConfigError: the model predicts something else, or there is no sample in a patch.

    Source: Tegon et al. 2025, FEMBA, section III (60 % of the patches; smooth L1 on what is hidden).
    """

    model: RecordingModel

    def __init__(
        self,
        *,
        model: RecordingModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        masked_fraction: float = 0.6,
        patch_channels: int = 1,
        patch_samples: int = 16,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        if model.num_outputs:
            raise ConfigError(
                f"task=masked_recording reconstructs, and the model has {model.num_outputs} outputs: give "
                "one that has none, such as model.head=reconstruction model.num_classes=0."
            )
        if min(patch_channels, patch_samples) < 1:
            raise ConfigError(
                f"patch_channels={patch_channels}, patch_samples={patch_samples}: give patches of 1 or more."
            )
        self.masked_fraction = masked_fraction
        self.patch_channels, self.patch_samples = patch_channels, patch_samples
        # With the model goes what it was asked to reconstruct.
        model.preprocessing["masking"] = {
            "masked_fraction": masked_fraction,
            "patch_channels": patch_channels,
            "patch_samples": patch_samples,
        }
        self.mean_loss, self.mse, self.power = MeanMetric(), MeanMetric(), MeanMetric()

    def loss(self, batch: Batch) -> torch.Tensor:
        """The model's own, over what is hidden."""
        epoch = self.trainer.datamodule.stages.at(self.global_step).epoch  # type: ignore[attr-defined]
        return _required(self._reconstruct(batch, self.mask(batch, epoch=epoch)))

    def num_positions(self, batch: Batch) -> int:
        """Samples of a batch, channels aside."""
        return batch["x"].shape[0] * batch["x"].shape[2]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row a window: `index`, and sums over `num_values` hidden samples:
        `squared_error` and `power`, the error of saying zero; of a few windows also `signal`,
        `reconstruction` and `hidden`, (C, T) each."""
        output, mask, sums = self._evaluate(batch)
        rows: dict[str, Any] = {name: value.cpu().numpy() for name, value in sums.items()}
        rows |= self._shown(batch, output.prediction, mask)
        table = pd.DataFrame({"index": batch["index"].cpu().numpy(), **rows})
        self._test_rows.append(table[batch["counted"].cpu().numpy()])

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """`loss`, `mse` of hidden samples, and `explained`: what share of their power that leaves out."""
        mse, power = self.mse.compute(), self.power.compute()
        values = {"loss": self.mean_loss.compute(), "mse": mse, "explained": 1 - mse / power}
        for metric in (self.mean_loss, self.mse, self.power):
            metric.reset()
        return values

    def mask(self, batch: Batch, *, epoch: int) -> torch.Tensor:
        """(B, C, T) bool, True at samples to hide."""
        _, channels, length = batch["x"].shape
        numbers = [
            np.random.SeedSequence([self._seed, _STREAM, epoch, index]).generate_state(1, np.uint64)[0] >> 1
            for index in batch["index"].tolist()
        ]
        hidden = patch_mask(
            len(numbers),
            channels,
            length,
            patch_size=(self.patch_channels, self.patch_samples),
            ratio=self.masked_fraction,
            seeds=torch.tensor(np.array(numbers, dtype=np.int64)),
        )
        return hidden.to(batch["x"].device) & batch["observed"]

    def _reconstruct(self, batch: Batch, mask: torch.Tensor) -> SignalOutput:
        return self.model(batch["x"], mask, observed=batch["observed"])

    def _evaluate(self, batch: Batch) -> tuple[SignalOutput, torch.Tensor, dict[str, torch.Tensor]]:
        mask = self.mask(batch, epoch=0)
        output = self._reconstruct(batch, mask)
        counted = mask & batch["counted"][:, None, None]
        error = (output.prediction.float() - batch["x"]) ** 2
        if counted.any():
            self.mean_loss.update(_required(output), weight=int(batch["counted"].sum()))
            self.mse.update(error[counted])
            self.power.update(batch["x"][counted] ** 2)
        sums = {
            name: (values * counted).sum((1, 2)).double()
            for name, values in (("squared_error", error), ("power", batch["x"] ** 2))
        }
        return output, mask, sums | {"num_values": counted.sum((1, 2))}

    def _shown(self, batch: Batch, prediction: torch.Tensor, mask: torch.Tensor) -> dict[str, list[Any]]:
        shown = _spread(len(self.trainer.datamodule.dataset("test")), _SHOWN_WINDOWS)  # type: ignore[attr-defined]
        parts = {"signal": batch["x"], "reconstruction": prediction.float(), "hidden": mask}
        indices = batch["index"].tolist()
        return {
            name: [
                values[row].cpu().numpy().tolist() if index in shown else None
                for row, index in enumerate(indices)
            ]
            for name, values in parts.items()
        }


class RecordingPrediction(LabelTask):
    """Learn what windows of recordings, or their channels, are.

    Args:
        model, optimizer, schedule, seed: as for every task; the model says what it predicts (`problem`).
        probe: train the model's head alone, on what the rest has learnt already.

    Raises:
        ConfigError: the model reconstructs, and predicts nothing.
    """

    model: RecordingModel

    def __init__(
        self,
        *,
        model: RecordingModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        probe: bool = False,
    ) -> None:
        if model.problem is None or not model.num_outputs:
            raise ConfigError(
                "task=recording_prediction wants a model that predicts: give one of classes, such "
                "as model.head=mcc model.num_classes=3."
            )
        # A channel has one class, also where the model says of it whether one thing is there.
        problem: Problem = "single_label" if model.per_channel else model.problem
        super().__init__(
            model=model,
            optimizer=optimizer,
            schedule=schedule,
            seed=seed,
            problem=problem,
            num_outputs=model.num_activated,
        )
        if probe:
            model.freeze_encoder()

    def loss(self, batch: Batch) -> torch.Tensor:
        """The model's own, mean over the windows, or over the channels that were measured."""
        return _required(self._predict(batch))

    def num_positions(self, batch: Batch) -> int:
        """Samples of a batch, channels aside."""
        return batch["x"].shape[0] * batch["x"].shape[2]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._evaluate(batch, self._predict(batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep its rows.

        A row is a window: `index`; `label`, `prediction`, `probability_<class>`, or the three of each class
        that may be there. Where a window has one class, some that are spread over the split have also
        `embedding`, (D,) the mean of what the prediction was made from. Of a model of channels a row is a
        measured `channel` of a window.
        """
        output = self._predict(batch)
        outputs, labels, counted = self._evaluate(batch, output)
        place = torch.nonzero(counted).cpu().numpy()
        rows = {"index": batch["index"].cpu().numpy()[place[:, 0]]}
        if self.model.per_channel:
            rows["channel"] = np.array(self.model.preprocessing["channels"])[place[:, 1]]
        table = pd.DataFrame(rows | self._columns(self._output_names(), outputs, labels))
        if "label" in table and not self.model.per_channel and (embedding := output.embedding) is not None:
            table["embedding"] = self._shown_embeddings(embedding[counted], rows["index"])
        self._test_rows.append(table)

    def _shown_embeddings(self, embedding: torch.Tensor, indices: np.ndarray) -> list[Any]:
        shown = _spread(len(self.trainer.datamodule.dataset("test")), _SHOWN_EMBEDDINGS)  # type: ignore[attr-defined]
        vectors = embedding.cpu().numpy()
        return [
            vector.tolist() if index in shown else None
            for vector, index in zip(vectors, indices, strict=True)
        ]

    def _evaluate(
        self, batch: Batch, output: SignalOutput
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs (N, K) and labels (N,) or (N, K) of what counts, and what that is: (B,) of windows, or
        (B, C) of channels."""
        labels, counted = batch["labels"], batch["counted"]
        if self.model.per_channel:
            counted = counted[:, None] & is_labelled(labels)
        outputs, labels = self.model.activated(output.prediction)[counted], labels[counted]
        self._count(outputs, labels, _required(output))
        return outputs, labels, counted

    def _predict(self, batch: Batch) -> SignalOutput:
        return self.model(batch["x"], observed=batch["observed"], labels=batch["labels"])


def _spread(total: int, count: int) -> set[int]:
    """Numbers of at most `count` of `total` rows, evenly apart."""
    return set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())


def _required(output: SignalOutput) -> torch.Tensor:
    assert output.loss is not None, "a model that was given labels, or a mask, has a loss"
    return output.loss
