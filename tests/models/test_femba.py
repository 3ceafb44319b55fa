"""FEMBA is the published function; its sizes, heads, masks, folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file

import genoseq
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import Femba, export, load_encoder, load_sequence_model, load_signal_model
from genoseq.nn.materialize import materialize
from genoseq.nn.patch_masks import patch_mask
from genoseq.paths import configs_dir

ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


def small(**arguments: Any) -> Femba:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"sequence_length": 64, "num_channels": 4, "embed_dim": 3, "expand": 1}
    return Femba(**settings | {"decoder_kernel": (5, 3)} | arguments)


@pytest.mark.parametrize("name", ["femba_recon", "femba_cls"])
def test_values_losses_and_gradients(golden: Golden, name: str) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model, family="femba")
    assert not model.training
    assert model.tokenizer is None
    x, mask = tensors["fwd/in/x"], tensors["fwd/in/mask"].bool()
    output = model(x, mask=mask)
    torch.testing.assert_close(output.prediction, tensors["fwd/out/y"], rtol=0, atol=ATOL)
    torch.testing.assert_close(output.last_hidden_state, tensors["fwd/out/encoder"], rtol=0, atol=ATOL)
    # The classifier's loss in the set is the mean square of its logits.
    loss = output.loss if name == "femba_recon" else output.logits.square().mean()
    assert abs(loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    expected = reference.gradients("fwd")
    assert len(expected) > 20
    for key, gradient in expected.items():
        assert (gradients[key] - gradient).norm() / gradient.norm() <= GRADIENT_TOLERANCE, key


@pytest.mark.parametrize("name", ["femba_recon", "femba_cls"])
def test_official_and_own_folders_come_back(golden: Golden, name: str, tmp_path: Path) -> None:
    reference = golden(name)
    # Told apart by its config, without the family's name.
    model = load_signal_model(reference.model)
    model.preprocessing["channels"] = ["Fp1", "Fp2"]
    export(model, tmp_path / "official", layout="original")
    tensors = load_file(tmp_path / "official" / "model.safetensors")
    assert tensors.keys() == reference.weights.keys()
    assert all(torch.equal(tensors[key], reference.weights[key]) for key in tensors)
    official = json.loads((reference.model / "config.json").read_text())
    assert official.items() <= json.loads((tmp_path / "official" / "config.json").read_text()).items()
    own = load_signal_model(model.save(tmp_path / "own"))
    assert own.preprocessing == {"channels": ["Fp1", "Fp2"]}
    assert own.arguments == model.arguments
    x = reference.tensors["fwd/in/x"]
    assert torch.equal(own(x).prediction, model(x).prediction)
    with pytest.raises(CheckpointError, match="never released in a layout 'hf'"):
        export(model, tmp_path / "other", layout="hf")
    with pytest.raises(ConfigError, match="model of signals"):
        load_sequence_model(tmp_path / "own")


def test_every_tensor_is_accounted_for(golden: Golden, tmp_path: Path) -> None:
    reference = golden("femba_recon")
    shutil.copy(reference.model / "config.json", tmp_path)
    tensors = reference.weights
    bias = tensors.pop("patch_embed.proj.bias")
    tensors["extra"] = bias
    tensors["pos_embed"] = tensors["pos_embed"][:, :-1].contiguous()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError) as raised:
        genoseq.load(tmp_path, family="femba")
    message = str(raised.value)
    assert "missing: patch_embed.proj.bias (7,)" in message
    assert "unexpected: extra (7,)" in message
    assert "misshapen: pos_embed (1, 7, 21), wanted (1, 8, 21)" in message
    with pytest.raises(CheckpointError, match="not of the layout that dlinear"):
        genoseq.load(reference.model, family="dlinear")


@pytest.mark.parametrize(
    ("preset", "layers", "width", "millions", "published"),
    [
        ("tiny", 2, 385, (7.797, 8.332), 7.8),
        ("base", 12, 385, (46.613, 47.148), 47.7),
        ("large", 4, 869, (77.166, 77.824), 77.8),
        ("huge", 20, 869, (385.529, 386.187), 386),
    ],
)
def test_published_sizes(
    preset: str, layers: int, width: int, millions: tuple[float, float], published: float
) -> None:
    """Of the reconstruction, and of a classifier of two; what is published is near one of them."""
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"model=femba_{preset}"])
    with torch.device("meta"):
        models = [instantiate(config.model), instantiate(config.model, head="bc", num_classes=2)]
    assert (len(models[0].mamba_blocks), models[0].d_model) == (layers, width)
    counts = [sum(parameter.numel() for parameter in model.parameters()) / 1e6 for model in models]
    assert counts == pytest.approx(millions, abs=0.001)
    # The published base is half a million larger than its own code makes it.
    assert min(abs(count - published) for count in counts) < (0.6 if preset == "base" else 0.2)


def test_a_model_without_memory_gets_first_values() -> None:
    with torch.device("meta"):
        model = small()
    materialize(model, torch.device("cpu"), seed=0)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert not model.pos_embed.any()


def test_first_values_are_the_released_ones(shared: Path) -> None:
    """Standard deviation, least and greatest of every parameter, over three seeds."""
    statistics = json.loads((shared / "golden" / "init_stats" / "config.json").read_text())
    expected = next(iter(statistics.values()))["femba"]
    drawn: dict[str, list[torch.Tensor]] = {}
    for seed in range(3):
        torch.manual_seed(seed)
        model = Femba(sequence_length=128, num_channels=6, embed_dim=16, num_layers=2)
        for name, parameter in model.named_parameters():
            drawn.setdefault(name, []).append(parameter.detach())
    assert drawn.keys() == expected.keys()
    for name, (_, std, least, greatest) in expected.items():
        values = torch.stack(drawn[name])
        # A few draws say little.
        if values[0].numel() < 100 and least != greatest:
            continue
        found = [
            values.flatten(1).std(1, correction=0).mean(),
            values.flatten(1).amin(1).mean(),
            values.flatten(1).amax(1).mean(),
        ]
        for ours, theirs in zip(found, (std, least, greatest), strict=True):
            assert ours.item() == pytest.approx(theirs, rel=0.08, abs=1e-3), name


HEADS = {
    "bc": (2, (3, 2), lambda: torch.tensor([0, 1, 1])),
    "mcc": (5, (3, 5), lambda: torch.tensor([4, 0, 2])),
    "ml": (3, (3, 3), lambda: torch.tensor([[0, 1, 1], [0, 0, 0], [1, 1, 0]])),
    "mc": (0, (3, 4), lambda: torch.ones(3, 4)),
    "mmc": (3, (3, 4, 3), lambda: torch.tensor([[0, 1, 2, -100]] * 3)),
}


@pytest.mark.parametrize("head", HEADS)
def test_heads_and_their_losses(head: Any, tmp_path: Path) -> None:
    classes, shape, labels = HEADS[head]
    model = small(head=head, num_classes=classes).eval()
    output = model(torch.randn(3, 4, 64), labels=labels())
    assert output.prediction.shape == shape
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    chances = model.activated(output.prediction)
    assert chances.shape == {"mc": (3, 4, 2)}.get(head, shape)
    assert model.num_activated == chances.shape[-1]
    if head == "ml":
        assert torch.equal(chances, output.prediction.sigmoid())
    else:
        torch.testing.assert_close(chances.sum(-1), torch.ones(chances.shape[:-1]))
        # The second is what is there.
        known = output.prediction.sigmoid() if head == "mc" else output.prediction.softmax(-1)[..., 1]
        torch.testing.assert_close(chances[..., 1], known)
    export(model, tmp_path, layout="original")
    again = genoseq.load(tmp_path, family="femba")
    assert again.arguments == model.arguments


def test_masked_samples_are_neither_read_nor_left_out_of_the_loss() -> None:
    model, x = small().double().eval(), torch.randn(2, 4, 64, dtype=torch.float64)
    mask = model.draw_mask(torch.tensor([3, 4]), ratio=0.4)
    changed = torch.where(mask, x + 5, x)
    before, after = model(x, mask), model(changed, mask)
    assert torch.equal(before.prediction, after.prediction)
    assert before.loss != after.loss
    expected = torch.nn.functional.smooth_l1_loss(before.prediction[mask], x[mask])
    torch.testing.assert_close(before.loss, expected)
    # What stands in the open moves the prediction, and counts for nothing where it is.
    assert not torch.equal(model(torch.where(mask, x, x + 1), mask).prediction, before.prediction)
    assert model(x).loss is None


def test_a_channel_that_was_never_measured() -> None:
    model, x = small().double().eval(), torch.randn(2, 4, 64, dtype=torch.float64)
    observed = torch.ones(2, 4, 1, dtype=torch.bool)
    observed[1, 2] = False
    mask = model.draw_mask(torch.tensor([3, 4]))
    first = model(x, mask, observed=observed)
    x[1, 2] = torch.nan
    second = model(x, mask, observed=observed)
    assert torch.isfinite(second.loss)
    assert torch.equal(first.loss, second.loss)
    second.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_every_item_has_a_mask_of_its_own() -> None:
    seeds = torch.arange(20)
    masks = patch_mask(20, 5, 70, patch_size=(2, 16), ratio=0.6, seeds=seeds)
    assert masks.shape == (20, 5, 70)
    # 2 x 4 patches; the last channel and the last samples are in none.
    assert not masks[:, 4].any()
    assert not masks[:, :, 64:].any()
    patches = masks[:, :4, :64].unflatten(1, (2, 2)).unflatten(3, (4, 16)).float().mean((2, 4))
    assert set(patches.unique().tolist()) == {0.0, 1.0}
    assert (patches.sum((1, 2)) == 5).all()
    assert len({tuple(row.flatten().tolist()) for row in patches}) > 10
    # An item's mask is its own, whatever stands beside it.
    alone = patch_mask(1, 5, 70, patch_size=(2, 16), ratio=0.6, seeds=seeds[7:8])
    assert torch.equal(alone[0], masks[7])


def test_fine_tuning_takes_all_but_the_head(tmp_path: Path) -> None:
    pretrained = small()
    folder = pretrained.save(tmp_path)
    model = load_encoder(checkpoint=folder, arguments={"head": "bc", "num_classes": 2})
    assert model.training
    shared = dict(pretrained.named_parameters())
    for name, parameter in model.encoder_parameters():
        assert torch.equal(parameter, shared[name]), name
    assert {name.split(".")[0] for name, _ in model.named_parameters()} - {
        name.split(".")[0] for name, _ in model.encoder_parameters()
    } == {"classifier"}
    model.freeze_encoder()
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learned
    assert all(name.startswith("classifier.") for name in learned)
    with pytest.raises(ConfigError, match="no depth"):
        load_encoder(checkpoint=folder, arguments={"depth": 3})
    with pytest.raises(CheckpointError, match="mamba_blocks"):
        load_encoder(checkpoint=folder, arguments={"num_layers": 3})


def test_checkpointing_changes_nothing() -> None:
    gradients = []
    for mode in (False, True):
        model = small(activation_checkpointing=mode).double()
        x = torch.randn(2, 4, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        model(x, model.draw_mask(torch.tensor([1, 2]))).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, saved in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, saved)


def test_low_precision() -> None:
    model, x = small().eval(), torch.randn(2, 4, 64)
    expected = model(x).prediction
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(x).prediction
    assert (found.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "other"}, "head='other'"),
        ({"head": "bc"}, "num_classes=0: give 2 or more"),
        ({"num_classes": 2}, "num_classes=2: give 0"),
        ({"num_channels": 5}, "cover 4 of 5 channels"),
        ({"sequence_length": 10}, "does not fit"),
        ({"decoder_kernel": (4, 3)}, "odd"),
        ({"patch_size": (2,)}, "two numbers"),
    ],
)
def test_bad_settings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**arguments)


def test_another_window() -> None:
    with pytest.raises(SequenceError, match="4 channels, 64 samples"):
        small()(torch.zeros(1, 4, 63))
    with pytest.raises(ConfigError, match=r"mask ratio 1\.5"):
        small().draw_mask(torch.tensor([1]), ratio=1.5)
