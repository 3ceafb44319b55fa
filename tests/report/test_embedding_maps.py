"""Vectors that lie apart lie apart on the map, in the colours of their labels."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from genoseq.errors import ConfigError
from genoseq.report.plots.embeddings import embedding_map
from genoseq.report.style import MODEL, OTHERS


def dots(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(drawn.get_offsets()) for drawn in figure.axes[0].collections]


def two_groups(count: int) -> tuple[np.ndarray, pd.Series]:
    generator = np.random.default_rng(0)
    labels = pd.Series(np.arange(count) % 2, name="kind").map({0: "far", 1: "near"})
    vectors = generator.normal(size=(count, 8)) + 30.0 * (labels == "far").to_numpy()[:, None]
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("projection", ["tsne", "pca"])
def test_groups_lie_apart_in_their_own_colours(projection: str) -> None:
    plot = embedding_map(*two_groups(40), projection=projection, name="map")  # type: ignore[arg-type]
    far, near = dots(plot.figure)
    assert len(far) == len(near) == 20
    centres = far.mean(axis=0), near.mean(axis=0)
    own = [np.linalg.norm(group - centre, axis=1) for group, centre in zip((far, near), centres, strict=True)]
    others = [np.linalg.norm(far - centres[1], axis=1), np.linalg.norm(near - centres[0], axis=1)]
    assert (np.concatenate(own) < np.concatenate(others)).all()
    colours = [to_hex(drawn.get_facecolor()[0]) for drawn in plot.figure.axes[0].collections]
    assert colours == [MODEL.colour, OTHERS[0].colour]
    assert [text.get_text() for text in plot.figure.legends[0].get_texts()] == ["far (20)", "near (20)"]


def test_numbers_have_a_scale_and_many_classes_a_rest() -> None:
    vectors, _ = two_groups(60)
    plot = embedding_map(vectors, pd.Series(np.linspace(0, 1, 60), name="GC"), projection="pca", name="map")
    assert [axes.get_ylabel() for axes in plot.figure.axes[1:]] == ["GC"]
    names = pd.Series([f"c{number:02}" for number in range(30)] * 2, name="class")
    plot = embedding_map(vectors, names, projection="pca", name="map")
    assert plot.figure.legends[0].get_texts()[-1].get_text() == "others (12)"
    assert sum(map(len, dots(plot.figure))) == 60


def test_whole_numbers_stand_in_their_order() -> None:
    vectors, _ = two_groups(12)
    numbers = pd.Series([10, 9, 1] * 4, name="recording")
    legend = embedding_map(vectors, numbers, projection="pca", name="map").figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["1 (4)", "9 (4)", "10 (4)"]


def test_of_many_vectors_some_are_drawn() -> None:
    vectors = np.random.default_rng(0).normal(size=(5001, 2)).astype(np.float32)
    plot = embedding_map(vectors, None, projection="pca", name="map")
    assert plot.title == "PCA of 5,000 of 5,001 vectors"
    assert len(dots(plot.figure)[0]) == 5000


def test_what_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = two_groups(8)
    with pytest.raises(ConfigError, match="3 vectors"):
        embedding_map(vectors[:3], labels[:3], projection="pca", name="map")
    with pytest.raises(ConfigError, match="projection='mds'"):
        embedding_map(vectors, labels, projection="mds", name="map")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"genoseq\[umap\]"):
        embedding_map(vectors, labels, projection="umap", name="map")
