"""The contrastive task: pairs that belong together, the loss, and learning."""

import numpy as np
import pytest
import torch

from genoseq.data import ReadPairsDataModule
from genoseq.data.loading import ExampleKey
from genoseq.data.splits import BlockSplit
from genoseq.errors import ConfigError
from genoseq.inference.design.comparison import identity
from genoseq.models import EmbeddingHead, HyenaDNA, LanguageModelHead, SequenceModel, load
from genoseq.nn.losses import contrastive_loss
from genoseq.tokenizers import CharacterTokenizer
from genoseq_tasks import Contrastive


def datamodule(fasta, **settings):
    tokenizer = CharacterTokenizer(special_tokens="none")
    given = {
        "window_length": 120,
        "read_length": 80,
        "error_rates": [0.0, 0.1],
        "examples_per_epoch": 64,
        "evaluation_examples": 32,
        "max_n_fraction": 0.1,
        "global_batch_size": 16,
        "micro_batch_size": None,
        "num_workers": 0,
        "pin_memory": False,
        "seed": 3,
    }
    return ReadPairsDataModule(tokenizer=tokenizer, fasta=fasta, split=BlockSplit(), **(given | settings))


def task_of(head, **settings):
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=16, num_layers=2, l_max=256, filter_order=8)
    model = SequenceModel(backbone, head(backbone), CharacterTokenizer(special_tokens="none"))
    return Contrastive(
        model=model, optimizer=torch.optim.AdamW, schedule=torch.optim.lr_scheduler.StepLR, seed=0, **settings
    )


def test_a_read_lies_in_its_window(tiny_fasta):
    data = datamodule(tiny_fasta)
    dataset, tokenizer = data.dataset("train"), data.tokenizer
    for index in range(20):
        example = dataset[ExampleKey(0, index)]
        read, window = (tokenizer.decode(example[name]) for name in ("input_ids", "window_ids"))
        assert len(window) == 120
        # The best part of the window is as like the read as its error rate allows, and no other part is.
        best = max(identity(read, window[start : start + len(read)]) for start in range(120 - len(read) + 1))
        assert best > 0.75
    again = dataset[ExampleKey(0, 5)]
    assert np.array_equal(again["input_ids"], dataset[ExampleKey(0, 5)]["input_ids"])
    assert not np.array_equal(again["window_ids"], dataset[ExampleKey(1, 5)]["window_ids"])


def test_without_errors_the_read_is_part_of_the_window(tiny_fasta):
    dataset = datamodule(tiny_fasta, error_rates=[0.0, 0.0]).dataset("validation")
    example = dataset[ExampleKey(0, 0)]
    windows = np.lib.stride_tricks.sliding_window_view(example["window_ids"], 80)
    assert (windows == example["input_ids"]).all(axis=1).any()


def test_the_loss_is_the_cross_entropy_of_partners():
    generator = torch.Generator().manual_seed(0)
    first, second = (
        torch.nn.functional.normalize(torch.randn(5, 7, generator=generator), dim=1) for _ in "ab"
    )
    odds = (first @ second.T / 0.1).double().exp()
    expected = -(odds.diag() / odds.sum(1)).log().mean() / 2 - (odds.diag() / odds.sum(0)).log().mean() / 2
    assert float(contrastive_loss(first, second, 0.1)) == pytest.approx(float(expected), rel=1e-5)
    assert float(contrastive_loss(first, first, 0.01)) < 0.01


def test_vectors_have_length_one_and_padding_changes_nothing():
    model = task_of(EmbeddingHead).model.eval()
    ids = torch.randint(7, 11, (3, 40), generator=torch.Generator().manual_seed(1))
    vectors = model(ids).logits
    assert vectors.shape == (3, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    padded = torch.nn.functional.pad(ids, (6, 0), value=model.tokenizer.pad_id)
    mask = torch.nn.functional.pad(torch.ones_like(ids), (6, 0)).bool()
    torch.testing.assert_close(model(padded, mask).logits, vectors, atol=1e-5, rtol=1e-4)


def test_an_encoder_comes_back_from_its_folder(tmp_path):
    model = task_of(EmbeddingHead).model.eval()
    again = load(model.save(tmp_path / "model"))
    ids = torch.randint(7, 11, (2, 30))
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"read_length": 200}, "lies in its window"),
        ({"error_rates": [0.2, 0.1]}, "least and most"),
        ({"error_rates": [0.1]}, "least and most"),
    ],
)
def test_data_that_make_no_sense(tiny_fasta, setting, message):
    with pytest.raises(ConfigError, match=message):
        datamodule(tiny_fasta, **setting)


def test_what_the_task_refuses():
    with pytest.raises(ConfigError, match="head=embedding"):
        task_of(LanguageModelHead)
    with pytest.raises(ConfigError, match="temperature=0"):
        task_of(EmbeddingHead, temperature=0)
    task = task_of(EmbeddingHead)
    with pytest.raises(ConfigError, match="data=reads"):
        task.loss({"input_ids": torch.ones(2, 4, dtype=torch.int64)})
    with pytest.raises(ConfigError, match=r"benchmarks/alignment\.py"):
        task.setup("test")
    with pytest.raises(ConfigError, match="learns from pairs"):
        task.model(torch.full((1, 4), 7), labels=torch.zeros(1))
