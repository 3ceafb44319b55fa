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
from genoseq.tokenizers import CharacterTokenizer, CodonTokenizer, FrameTokenizer, KmerTokenizer, Tokenizer
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


def task_of(tokenizer: Tokenizer, **settings: Any) -> MaskedLM:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=16, num_layers=1, symmetry="none", vocab_size=tokenizer.vocab_size)
    return MaskedLM(
        model=SequenceModel(backbone, MaskedLanguageModelHead(backbone), tokenizer),
        optimizer=torch.optim.AdamW,
        schedule=constant_warmup,
        seed=0,
        **settings,
    )


def rows(ids: list[np.ndarray]) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.from_numpy(np.stack(ids)), "index": torch.arange(len(ids))}


LETTERS = "".join(np.random.default_rng(4).choice(list("ACGT"), size=6000))


@pytest.mark.parametrize("k", [3, 6])
def test_words_that_overlap_a_hidden_base_are_all_hidden(k: int) -> None:
    """One of them that is kept, or seen, would tell the base."""
    tokenizer = KmerTokenizer(k=k, overlapping=True)
    given = rows([tokenizer.encode(LETTERS)])
    corrupted, labels = task_of(tokenizer, hidden_fraction=0.6, exchanged_fraction=0.2).corrupt(
        given, epoch=0
    )
    ids, seen, chosen = given["input_ids"][0], corrupted[0], labels[0] != -100
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.03)
    hidden = seen == tokenizer.mask_id
    assert torch.equal(seen[~chosen], ids[~chosen])
    known = torch.zeros(len(LETTERS), dtype=torch.bool)
    for place in range(k):
        known[place : place + len(ids)] |= ~hidden
    told = known.unfold(0, k, 1)
    # Each stretch of hidden words has a base that no other word knows; what is exchanged or kept is a word of
    # a stretch of its own.
    edges = torch.nn.functional.pad(hidden.int(), (1, 1)).diff()
    for start, stop in zip((edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0], strict=True):
        assert not told[int(start) : int(stop)].all()
        assert stop - start >= min(k, int(stop), len(ids) - int(start))
    assert int((chosen & ~hidden).sum()) > 0


def test_codons_are_hidden_whole_and_keep_their_places() -> None:
    tokenizer = FrameTokenizer()
    ids = tokenizer.encode(LETTERS, coding=[(4, 2404), (3001, 4501, "-")])
    given = rows([ids])
    learner = task_of(tokenizer, hidden_fraction=0.5, exchanged_fraction=0.3)
    corrupted, labels = learner.corrupt(given, epoch=0)
    seen, chosen = corrupted[0].numpy(), labels[0].numpy() != -100
    # Nothing says of a base that it is of another place.
    np.testing.assert_array_equal(tokenizer.places[seen[ids > 11]], tokenizer.places[ids[ids > 11]])
    hidden = np.isin(seen, np.unique(tokenizer.hidden_ids))
    for coding in (slice(4, 2404), slice(3001, 4501)):
        for what in (chosen, hidden):
            codons = what[coding].reshape(-1, 3)
            np.testing.assert_array_equal(codons.any(1), codons.all(1))
    assert chosen.mean() == pytest.approx(0.15, abs=0.03)
    assert hidden[chosen].mean() == pytest.approx(0.5, abs=0.1)
    changed = chosen & ~hidden & (seen != ids)
    assert changed[chosen].mean() == pytest.approx(0.3 * 0.75, abs=0.1)


def test_codons_are_exchanged_for_codons_and_bases_for_bases() -> None:
    tokenizer = CodonTokenizer(special_tokens="none")
    ids = tokenizer.encode(LETTERS, coding=[(2, 3002)])
    learner = task_of(tokenizer, chosen_fraction=0.5, hidden_fraction=0.0, exchanged_fraction=1.0)
    seen = learner.corrupt(rows([ids]), epoch=0).input_ids[0].numpy()
    assert (seen != ids).mean() > 0.35
    np.testing.assert_array_equal(tokenizer.num_bases[seen], tokenizer.num_bases[ids])
    assert len(np.unique(seen)) == 68


def test_words_side_by_side_are_chosen_one_by_one() -> None:
    tokenizer = KmerTokenizer(k=6, remainder="drop")
    _, labels = task_of(tokenizer).corrupt(rows([tokenizer.encode(LETTERS)] * 20), epoch=0)
    assert float((labels != -100).float().mean()) == pytest.approx(0.15, abs=0.01)


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
