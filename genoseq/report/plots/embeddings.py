"""Vectors of sequences in two dimensions."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, get_args

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from genoseq.errors import ConfigError, require_choice
from genoseq.report.style import MATPLOTLIB, MODEL, MUTED, OTHERS, SQUARE, Plot, new_axes

Projection = Literal["tsne", "umap", "pca"]

_NAMES: dict[str, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
_CAPTIONS = {
    "tsne": "One dot a vector. Neighbours are alike; sizes of groups, and distances between, mean nothing.",
    "umap": "One dot a vector. Neighbours are alike; distances between groups mean little.",
    "pca": "One dot a vector, along the two directions in which the vectors vary most.",
}
_LEAST, _MOST = 4, 5000
_PRINCIPAL = 50
_STYLES = (MODEL, *OTHERS)
_MOST_CLASSES = 4 * len(_STYLES)
_REST = "others"


def embedding_map(
    vectors: np.ndarray, labels: pd.Series | None, *, projection: Projection, name: str, seed: int = 0
) -> Plot:
    """Vectors as dots, coloured by their labels; of more than 5,000 as many, drawn at random.

    Args:
        vectors: (N, D).
        labels: of each, classes or numbers; None for none. Its name is what they are.
        projection: tsne, umap or pca; the first two see the 50 directions that vary most.
        name: of the file.
        seed: of the draw and of what the projection draws.

    Raises:
        ConfigError: there is no such projection, umap-learn is not installed, or there are fewer than 4.
    """
    require_choice("projection", projection, get_args(Projection))
    if len(vectors) < _LEAST:
        raise ConfigError(f"plot= of {len(vectors)} vectors: {_LEAST} or more are wanted.")
    chosen = np.arange(len(vectors))
    if len(vectors) > _MOST:
        chosen = np.sort(np.random.default_rng(seed).choice(len(vectors), _MOST, replace=False))
    points, axis_names = _project(vectors[chosen].astype(np.float64), projection, seed)
    with matplotlib.rc_context(MATPLOTLIB):
        figure, axes = new_axes(SQUARE)
        _draw(figure, axes, points, None if labels is None else labels.iloc[chosen].reset_index(drop=True))
        axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
        if projection != "pca":
            axes.set(xticks=[], yticks=[])
        shown = f"{len(chosen):,} of {len(vectors):,}" if len(chosen) < len(vectors) else f"{len(vectors):,}"
        title = f"{_NAMES[projection]} of {shown} vectors"
        axes.set_title(title, loc="left", fontsize=9)
    return Plot(name, title, _CAPTIONS[projection], figure)


def _project(vectors: np.ndarray, projection: Projection, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    """(N, 2) and what its axes are."""
    principal = PCA(min(_PRINCIPAL, *vectors.shape), random_state=seed).fit(vectors)
    reduced = principal.transform(vectors)
    if projection == "pca":
        if reduced.shape[1] == 1:
            reduced = np.pad(reduced, ((0, 0), (0, 1)))
        shares = [*principal.explained_variance_ratio_, 0.0]
        return reduced[:, :2], (f"first ({shares[0]:.0%} of variance)", f"second ({shares[1]:.0%})")
    if projection == "umap":
        neighbours = min(15, len(vectors) - 1)
        points = _umap().UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(reduced)
    else:
        perplexity = min(30.0, (len(vectors) - 1) / 3)
        points = TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(reduced)
    return points, (f"{_NAMES[projection]} 1", f"{_NAMES[projection]} 2")


def _umap() -> Any:
    try:
        import umap
    except ImportError as error:
        raise ConfigError("projection=umap wants umap-learn: pip install 'genoseq[umap]'.") from error
    return umap


def _draw(figure: Figure, axes: Axes, points: np.ndarray, labels: pd.Series | None) -> None:
    size = float(np.clip(6000 / len(points), 5, 30))
    dots: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidths": 0}
    if labels is None:
        axes.scatter(*points.T, color=MODEL.colour, **dots)
        return
    if pd.api.types.is_float_dtype(labels) or (
        pd.api.types.is_numeric_dtype(labels) and labels.nunique() > _MOST_CLASSES
    ):
        drawn = axes.scatter(points[:, 0], points[:, 1], c=labels, cmap="viridis", **dots)
        figure.colorbar(drawn, ax=axes, label=str(labels.name))
        return
    texts = labels.astype(str)
    counts = Counter(texts)
    common = [text for text, _ in counts.most_common(_MOST_CLASSES)]
    # Whole numbers, such as those of recordings, in their own order.
    order = (lambda text: (len(text), text)) if pd.api.types.is_integer_dtype(labels) else str
    for place, text in enumerate(sorted(common, key=order)):
        style, round_ = _STYLES[place % len(_STYLES)], place // len(_STYLES)
        marker = _STYLES[(place + round_) % len(_STYLES)].marker
        inside = (texts == text).to_numpy()
        label = f"{text} ({counts[text]:,})"
        axes.scatter(*points[inside].T, color=style.colour, marker=marker, label=label, **dots)
    rest = ~texts.isin(common).to_numpy()
    if rest.any():
        axes.scatter(*points[rest].T, color=MUTED.light, label=f"{_REST} ({rest.sum():,})", **dots)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, title=labels.name)
