"""Hidden bases: which are chosen, what becomes of them, and that they are learnt."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from genoseq.data.datamodule import SequenceDataModule
from genoseq.errors import ConfigError
from genoseq.models import Caduceus, LanguageModelHead, MaskedLanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer
from genoseq.training import constant_warmup
from genoseq_tasks import CausalLM, MaskedLM

MASK, PAD, N = 3, 4, 11


def task(head: Any = MaskedLanguageModelHead, *, seed: int = 0, **settings: Any) -> MaskedLM:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=16, num_layers=1, d_state=4)
    return MaskedLM(
        model=SequenceModel(backbone, head(backbone), CharacterTokenizer()),
        optimizer=partial(torch.optim.AdamW, lr=0.02, weight_decay=0.0),
        schedule=partial(constant_warmup, warmup_fraction=0.1),
        seed=seed,
        **settings,
    )


def batch(*shape: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(7, 12, shape, generator=torch.Generator().manual_seed(1))
    return {
        "input_ids": ids,
        "index": torch.arange(shape[0]),
        "counted": torch.ones(shape[0], dtype=torch.bool),
    }


def test_shares_of_what_is_chosen() -> None:
    given = batch(8, 10_000)
    ids = given["input_ids"]
    corrupted, labels = task().corrupt(given, epoch=0)
    bases = ids != N
    chosen = labels != -100
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(corrupted[~chosen], ids[~chosen])
    assert not (chosen & ~bases).any()
    count = int(chosen.sum())
    # Four standard deviations of each share.
    assert abs(count / int(bases.sum()) - 0.15) < 4 * (0.15 * 0.85 / 64_000) ** 0.5
    hidden = corrupted[chosen] == MASK
    assert abs(float(hidden.float().mean()) - 0.8) < 4 * (0.16 / count) ** 0.5
    # Of those exchanged, a quarter gets its own base again.
    changed = ~hidden & (corrupted[chosen] != ids[chosen])
    assert abs(float(changed.float().mean()) - 0.075) < 4 * (0.07 / count) ** 0.5
    exchanged = corrupted[chosen][changed]
    assert set(exchanged.tolist()) == {7, 8, 9, 10}


def test_a_choice_is_of_seed_epoch_and_example_alone() -> None:
    learner, given = task(), batch(3, 40)
    corrupted, labels = learner.corrupt(given, epoch=2)
    again, _ = learner.corrupt(given, epoch=2)
    assert torch.equal(corrupted, again)
    padded = torch.nn.functional.pad(given["input_ids"][1:2], (9, 4), value=PAD)
    alone = {
        "input_ids": padded,
        "attention_mask": padded != PAD,
        "index": given["index"][1:2],
    }
    other, other_labels = learner.corrupt(alone, epoch=2)
    assert torch.equal(other[0, 9:49], corrupted[1])
    assert torch.equal(other_labels[0, 9:49], labels[1])
    assert (other_labels[0, :9] == -100).all()
    differently = [
        learner.corrupt(given, epoch=3),
        task(seed=1).corrupt(given, epoch=2),
        learner.corrupt(given | {"index": given["index"] + 1}, epoch=2),
    ]
    assert not any(torch.equal(labels, each.labels) for each in differently)


def test_only_labelled_places_are_chosen() -> None:
    given = batch(2, 200)
    labels = given["input_ids"].clone()
    labels[:, :100] = -100
    _, chosen = task(chosen_fraction=1.0).corrupt(given | {"labels": labels}, epoch=0)
    assert (chosen[:, :100] == -100).all()
    assert torch.equal(chosen[:, 100:] != -100, given["input_ids"][:, 100:] != N)


def test_evaluation_hides_every_chosen_base(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, given = task(chosen_fraction=0.5), batch(2, 100)
    given["counted"][1] = False
    seen: list[torch.Tensor] = []
    backbone = learner.model.backbone
    forward = backbone.forward
    monkeypatch.setattr(
        backbone, "forward", lambda ids, *args, **kw: seen.append(ids) or forward(ids, *args, **kw)
    )
    learner.validation_step(given, 0)
    learner.validation_step(given, 1)
    assert torch.equal(seen[0], seen[1])
    _, chosen = learner.corrupt(given, epoch=0)
    assert torch.equal(seen[0][0] == MASK, chosen[0] != -100)
    assert not (seen[0][1] == MASK).any()
    assert int(learner.nats_per_base.bases) == 2 * int((chosen[0] != -100).sum())


class Palindromes:
    """ACGT over and over from a random beginning: every hidden base follows from its neighbours."""

    strand = "unstranded"

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> dict[str, Any]:
        start, length = np.random.default_rng([self.size, key.index]).integers([4, 30], [8, 50])
        codes = (np.arange(start, start + length) % 4).astype(np.uint8)
        ids = CharacterTokenizer().encode_codes(codes)
        return {"input_ids": ids, "index": key.index, "counted": key.counted}


class PalindromeData(SequenceDataModule):
    def build(self, split: str) -> Any:
        return Palindromes({"train": 64, "validation": 20, "test": 21}[split])


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_hidden_bases_are_learnt() -> None:
    data = PalindromeData(
        tokenizer=CharacterTokenizer(),
        global_batch_size=16,
        micro_batch_size=None,
        num_workers=0,
        pin_memory=False,
        seed=0,
    )
    learner = task()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=40,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(learner, data)
    (metrics,) = trainer.test(learner, data, verbose=False)
    assert metrics["test/bits_per_base"] < 0.5
    rows = learner.predictions
    assert list(rows["index"]) == list(range(21))
    total = rows["bits"].sum() / rows["num_bases"].sum()
    assert total == pytest.approx(metrics["test/bits_per_base"], rel=1e-5)


def test_the_next_token_is_no_task_for_both_directions() -> None:
    backbone = Caduceus(d_model=16, num_layers=1, symmetry="none")
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    with pytest.raises(ConfigError, match="task=masked_lm head=masked_language_model"):
        CausalLM(model=model, optimizer=torch.optim.AdamW, schedule=constant_warmup, seed=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"chosen_fraction": 0.0}, "chosen_fraction=0.0"),
        ({"hidden_fraction": 0.8, "exchanged_fraction": 0.3}, "together at most 1"),
        ({"head": LanguageModelHead}, "head=masked_language_model"),
    ],
)
def test_refusals(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        task(**settings)
