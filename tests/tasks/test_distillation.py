"""A student and its teacher: what both are shown, what belongs together, and that it is learnt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

import genoseq
from genoseq.data.datamodule import SequenceDataModule
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import (
    DNABERT2,
    ESM2,
    HAD,
    Caduceus,
    HyenaDNA,
    LanguageModelHead,
    MaskedLanguageModelHead,
    SequenceModel,
)
from genoseq.nn import Reconstruction
from genoseq.tokenizers import BpeTokenizer, CharacterTokenizer, KmerTokenizer, Tokenizer
from genoseq.training import constant_warmup
from genoseq_tasks import Distillation
from genoseq_tasks.teacher import View, view

UNIT = "ACGTTGCAGATTACAGGA"
CHARACTERS = CharacterTokenizer(special_tokens="none")
TOKENIZERS: dict[str, Tokenizer] = {
    "characters": CHARACTERS,
    "6-mers": KmerTokenizer(),
    "BPE": BpeTokenizer.train([UNIT * 20 + "CCATTGGACTTAGGCA" * 20], vocab_size=24),
    "words that overlap": KmerTokenizer(k=3, overlapping=True),
}
Save = Callable[..., Path]


def encoder(width: int, size: int) -> DNABERT2:
    return DNABERT2(
        d_model=width, num_layers=1, num_heads=2, d_inner=12, vocab_size=size, initializer_range=0.3
    )


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a teacher of width 12 with a tokenizer; `make` gives another backbone of that many tokens."""

    def written(tokenizer: Tokenizer | None, make: Callable[[int], Any] | None = None) -> Path:
        torch.manual_seed(1)
        size = 33 if tokenizer is None else tokenizer.vocab_size
        backbone = (make or partial(encoder, 12))(size)
        head = LanguageModelHead if backbone.causal else MaskedLanguageModelHead
        return SequenceModel(backbone, head(backbone), tokenizer).save(tmp_path / "teacher")

    return written


def student(tokenizer: Tokenizer = CHARACTERS, head: Any = MaskedLanguageModelHead) -> SequenceModel:
    torch.manual_seed(0)
    backbone = HAD(
        d_model=16,
        num_layers=2,
        num_heads=2,
        head_dim=8,
        attention_heads=2,
        d_inner=16,
        vocab_size=tokenizer.vocab_size,
    )
    return SequenceModel(backbone, head(backbone), tokenizer)


def task(
    teacher: Path, model: SequenceModel | None = None, *, seed: int = 0, **settings: Any
) -> Distillation:
    return Distillation(
        model=model or student(),
        optimizer=partial(torch.optim.AdamW, lr=0.01, weight_decay=0.0),
        schedule=partial(constant_warmup, warmup_fraction=0.1),
        seed=seed,
        teacher=teacher,
        **{"decoder_heads": 2, "decoder_inner": 16, **settings},
    )


def batch(tokenizer: Tokenizer, *lengths: int) -> dict[str, torch.Tensor]:
    generator = np.random.default_rng(3)
    rows = [tokenizer.encode_codes(generator.integers(0, 5, length, dtype=np.uint8)) for length in lengths]
    ids, mask = tokenizer.pad(rows)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "index": torch.arange(len(lengths)),
        "counted": torch.ones(len(lengths), dtype=torch.bool),
    }


def seen_of(own: Tokenizer, its: Tokenizer, given: dict[str, torch.Tensor], fraction: float = 0.4) -> View:
    generators = [np.random.default_rng(index) for index in given["index"].tolist()]
    return view(
        given["input_ids"],
        given["attention_mask"],
        own,
        its,
        group_size=2,
        fraction=fraction,
        generators=generators,
    )


@pytest.mark.parametrize("its", TOKENIZERS)
@pytest.mark.parametrize("own", TOKENIZERS)
def test_no_token_that_is_shown_tells_a_hidden_one(own: str, its: str) -> None:
    own_tokenizer, its_tokenizer = TOKENIZERS[own], TOKENIZERS[its]
    given = batch(own_tokenizer, 60, 41, 7)
    seen = seen_of(own_tokenizer, its_tokenizer, given)
    assert seen.hidden.any()
    assert not seen.hidden[~given["attention_mask"]].any()
    mask = torch.ones_like(seen.teacher_hidden) if seen.teacher_mask is None else seen.teacher_mask
    for row in range(3):
        ids = given["input_ids"][row][given["attention_mask"][row]]
        letters = own_tokenizer.decode(ids)
        spans = []
        for tokenizer, tokens, hidden in (
            (own_tokenizer, ids, seen.hidden[row][given["attention_mask"][row]]),
            (its_tokenizer, seen.teacher_ids[row][mask[row]], seen.teacher_hidden[row][mask[row]]),
        ):
            offsets = tokenizer.offsets(tokens, len(letters))
            sets = [
                {base for span in offsets[each.numpy()] for base in range(*span)}
                for each in (hidden, ~hidden)
            ]
            spans.append(sets)
        (own_hidden, own_visible), (its_hidden, its_visible) = spans
        if "words that overlap" not in (own, its):
            assert not own_visible & its_hidden
            assert not its_visible & own_hidden
        # Under words that overlap, those that are hidden have visible bases too.
        hidden_bases = own_hidden & its_hidden - own_visible - its_visible
        assert bool(hidden_bases) == bool(seen.hidden[row].any())


@pytest.mark.parametrize("its", TOKENIZERS)
@pytest.mark.parametrize("own", TOKENIZERS)
def test_features_are_means_over_the_bases_of_a_token(own: str, its: str) -> None:
    own_tokenizer, its_tokenizer = TOKENIZERS[own], TOKENIZERS[its]
    given = batch(own_tokenizer, 60, 41)
    seen = seen_of(own_tokenizer, its_tokenizer, given)
    values = torch.randn(seen.hidden.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = values.new_zeros(len(seen.compared)).index_add(
        0, seen.rows, values.flatten()[seen.columns] * seen.weights.double()
    )
    expected, numbers = [], []
    mask = torch.ones_like(seen.teacher_hidden) if seen.teacher_mask is None else seen.teacher_mask
    for row in range(2):
        real = given["attention_mask"][row]
        ids, own_values = given["input_ids"][row][real], values[row][real].numpy()
        length = len(own_tokenizer.decode(ids))
        of = own_tokenizer.offsets(ids, length)
        places = np.flatnonzero(mask[row].numpy())
        to = its_tokenizer.offsets(seen.teacher_ids[row][mask[row]], length)
        for place, (start, end) in zip(places, to, strict=True):
            if seen.teacher_hidden[row, place] or start == end:
                continue
            bases = [own_values[(of[:, 0] <= base) & (base < of[:, 1])] for base in range(start, end)]
            means = [each.mean() for each in bases if len(each)]
            if means:
                expected.append(np.mean(means))
                numbers.append(row * mask.shape[1] + place)
    assert seen.compared.tolist() == numbers
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_choice_is_of_seed_epoch_and_example_alone(save: Save) -> None:
    learner = task(save(KmerTokenizer(k=3))).eval()
    given = batch(CHARACTERS, 60, 41)
    whole = learner.prepare(given)["view"]
    alone = {name: value[1:] for name, value in given.items()}
    assert torch.equal(learner.prepare(alone)["view"].hidden[0], whole.hidden[1])
    other = task(save(KmerTokenizer(k=3)), seed=1).eval().prepare(given)["view"]
    assert not torch.equal(other.hidden, whole.hidden)


def test_what_is_hidden_changes_nothing_that_is_computed_of_the_rest(save: Save) -> None:
    learner = task(save(KmerTokenizer(k=3)), hidden_fraction=0.5).eval()
    given = batch(CHARACTERS, 60, 41)
    prepared = learner.prepare(given)
    seen = prepared["view"]
    changed = prepared | {"input_ids": prepared["input_ids"].masked_fill(seen.hidden, 7)}
    changed["view"] = seen._replace(teacher_ids=seen.teacher_ids.masked_fill(seen.teacher_hidden, 100))
    terms, others = learner.compare(prepared), learner.compare(changed)
    torch.testing.assert_close(terms.alignment, others.alignment)
    assert not torch.allclose(terms.reconstruction, others.reconstruction)
    torch.testing.assert_close(learner.predict(prepared).logits, learner.predict(changed).logits)


def test_a_teacher_may_read_what_the_student_has_to_tell(save: Save) -> None:
    folder = save(CHARACTERS, lambda size: HyenaDNA(d_model=8, num_layers=1, filter_order=8, l_max=64))
    given = batch(CHARACTERS, 60)
    learners = [task(folder, hide_from_teacher=hides).eval() for hides in (True, False)]
    assert not torch.allclose(*(learner.compare(given).alignment for learner in learners))


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_all_or_nothing_hidden(save: Save, fraction: float) -> None:
    learner = task(save(KmerTokenizer(k=3)), hidden_fraction=fraction).eval()
    terms = learner.compare(batch(CHARACTERS, 30, 7))
    assert all(torch.isfinite(term) for term in terms)
    sum(terms).backward()
    gradients = [parameter.grad for parameter in learner.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    zero = terms.alignment if fraction > 0.5 else terms.reconstruction + terms.prediction
    assert float(zero.detach()) == 0


def test_reconstruction_sees_visible_states_alone() -> None:
    torch.manual_seed(0)
    decoder = Reconstruction(d_model=8, num_heads=2, d_inner=8, num_outputs=5).double()
    states = torch.randn(2, 9, 8, dtype=torch.float64)
    visible = torch.rand(2, 9) < 0.5
    visible[0], visible[1, 0] = False, True
    places = torch.tensor([[3, 0], [2, 7]])
    expected = decoder(states, visible, places)
    other = torch.where(visible.unsqueeze(-1), states, torch.randn_like(states))
    torch.testing.assert_close(decoder(other, visible, places)[1], expected[1])
    # Distances alone count: moved by two, the same states tell the same.
    pad = torch.nn.functional.pad
    moved = decoder(pad(states[1:], (0, 0, 2, 0)), pad(visible[1:], (2, 0)), places[1:] + 2)
    torch.testing.assert_close(moved, expected[1:])


class Pieces:
    """Of one repeated unit: every hidden base follows from what is around it."""

    strand = "unstranded"

    def __init__(self, tokenizer: Tokenizer, size: int) -> None:
        self.tokenizer, self.size = tokenizer, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> dict[str, Any]:
        start, length = np.random.default_rng([self.size, key.index]).integers([0, 36], [18, 50])
        ids = self.tokenizer.encode((UNIT * 4)[start : start + length], add_special_tokens=False)
        return {"input_ids": ids, "index": key.index, "counted": key.counted}


class PieceData(SequenceDataModule):
    def build(self, split: str) -> Any:
        return Pieces(self.tokenizer, {"train": 64, "validation": 9, "test": 10}[split])


def fit(learner: Distillation, steps: int) -> tuple[Trainer, SequenceDataModule]:
    data = PieceData(
        tokenizer=learner.tokenizer,
        global_batch_size=16,
        micro_batch_size=None,
        num_workers=0,
        pin_memory=False,
        seed=0,
    )
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(learner, data)
    return trainer, data


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
@pytest.mark.filterwarnings("ignore:.*overridden `on_before_batch_transfer`.*")
@pytest.mark.parametrize(
    ("own", "its", "hides"),
    [
        ("characters", "characters", True),
        ("characters", "6-mers", False),
        ("characters", "BPE", True),
        ("BPE", "6-mers", True),
    ],
)
def test_all_that_is_taught_is_learnt(save: Save, own: str, its: str, hides: bool) -> None:
    learner = task(save(TOKENIZERS[its]), student(TOKENIZERS[own]), hide_from_teacher=hides)
    before = {name: value.clone() for name, value in learner.teacher.model.state_dict().items()}
    trainer, data = fit(learner, 1)
    first = trainer.validate(learner, data, verbose=False)[0]
    learner = task(save(TOKENIZERS[its]), student(TOKENIZERS[own]), hide_from_teacher=hides)
    trainer, data = fit(learner, 60)
    last = trainer.validate(learner, data, verbose=False)[0]
    for name in ("alignment", "reconstruction", "bits_per_base", "objective"):
        assert last[f"val/{name}"] < 0.8 * first[f"val/{name}"], name
    for name, value in learner.teacher.model.state_dict().items():
        assert torch.equal(value, before[name])
    # What is saved of a run is the student and what helps it, not the teacher.
    assert not any("teacher" in name for name in learner.state_dict())
    assert all(p.requires_grad for p in learner.parameters())
    (metrics,) = trainer.test(learner, data, verbose=False)
    assert "test/alignment" not in metrics
    assert len(learner.predictions) == 10


def test_the_student_alone_is_a_model(save: Save, tmp_path: Path) -> None:
    learner = task(save(KmerTokenizer(k=3)))
    learner.model.save(tmp_path / "student")
    loaded = genoseq.load(tmp_path / "student")
    assert isinstance(loaded.backbone, HAD)
    vectors = loaded.embed(["ACGTACGT", "TTGACA"])
    torch.testing.assert_close(vectors, learner.model.embed(["ACGTACGT", "TTGACA"]))


def test_a_student_of_two_strands(save: Save) -> None:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=8, num_layers=1, d_state=4)
    model = SequenceModel(backbone, MaskedLanguageModelHead(backbone), CHARACTERS)
    terms = task(save(KmerTokenizer(k=3)), model).eval().compare(batch(CHARACTERS, 30, 7))
    assert all(torch.isfinite(term) for term in terms)


def test_widths_have_to_fit_where_nothing_maps_between_them(save: Save) -> None:
    folder = save(CHARACTERS)
    with pytest.raises(
        ConfigError, match=r"teacher .* of width 12, the student of 16: give task.project=true"
    ):
        task(folder, project=False)
    wide = save(CHARACTERS, partial(encoder, 16))
    assert torch.isfinite(task(wide, project=False).eval().compare(batch(CHARACTERS, 20)).alignment)


def test_a_teacher_of_proteins_is_refused(save: Save) -> None:
    folder = save(None, lambda size: ESM2(d_model=16, num_layers=1, num_heads=2, d_inner=8, vocab_size=size))
    with pytest.raises(ConfigError, match="reads no nucleotides"):
        task(folder)


def test_a_teacher_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        task(tmp_path / "nowhere")


def test_a_teacher_that_takes_fewer_tokens(save: Save) -> None:
    folder = save(CHARACTERS, lambda size: HyenaDNA(d_model=8, num_layers=1, filter_order=8, l_max=24))
    learner = task(folder).eval()
    learner.compare(batch(CHARACTERS, 24))
    with pytest.raises(SequenceError, match="takes 24 tokens, and windows have 30"):
        learner.compare(batch(CHARACTERS, 30))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_fraction": 1.0}, "hidden_fraction=1.0"),
        ({"group_size": 0}, "group_size=0"),
        ({"alignment_weight": -1.0}, "alignment_weight=-1.0"),
        ({"alignment_weight": 0, "reconstruction_weight": 0, "prediction_weight": 0}, "one is above"),
        ({"decoder_heads": 3}, "3 heads do not divide a width of 16"),
    ],
)
def test_settings_out_of_range(save: Save, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(save(CHARACTERS), **settings)


def test_a_head_that_tells_something_else(save: Save) -> None:
    with pytest.raises(ConfigError, match="head=masked_language_model"):
        task(save(CHARACTERS), student(head=LanguageModelHead))
