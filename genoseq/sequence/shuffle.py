"""Shuffled controls: sequence with the composition of the original and none of its longer structure."""

from __future__ import annotations

import numpy as np


def dinucleotide_shuffle(codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A uniformly random sequence with exactly the dinucleotide counts, first and last letter of `codes`.

    The sequence is an Eulerian path over its letters. A random spanning tree into the last letter fixes each
    letter's last exit, all other exits are shuffled, and the path is walked again.

    Args:
        codes: (L,) uint8, any small alphabet.
        generator: source of all randomness.

    Returns:
        (L,) uint8.

    Source: Altschul and Erikson 1985, Mol. Biol. Evol. 2:526; the tree by Wilson's algorithm, as in Kandel et
    al. 1996, Discrete Appl. Math. 71:171.
    """
    if len(codes) < 3:
        return codes.copy()
    exits = [codes[1:][codes[:-1] == letter] for letter in range(int(codes.max()) + 1)]
    for letter, last in _random_tree(exits, int(codes[-1]), generator).items():
        position = int(np.flatnonzero(exits[letter] == last)[0])
        others = generator.permutation(np.delete(exits[letter], position))
        exits[letter] = np.append(others, last)
    root = int(codes[-1])
    exits[root] = generator.permutation(exits[root])
    return _walk(int(codes[0]), [letters.tolist() for letters in exits], len(codes))


def _random_tree(exits: list[np.ndarray], root: int, generator: np.random.Generator) -> dict[int, int]:
    """The exit of each letter but the root in a random spanning tree into the root, by loop-erased walks."""
    tree: dict[int, int] = {}
    for start in range(len(exits)):
        walker = start
        last_exit: dict[int, int] = {}
        while walker != root and walker not in tree and len(exits[walker]):
            last_exit[walker] = int(generator.choice(exits[walker]))
            walker = last_exit[walker]
        walker = start
        while walker in last_exit and walker not in tree:
            tree[walker] = last_exit[walker]
            walker = tree[walker]
    return tree


def _walk(first: int, exits: list[list[int]], length: int) -> np.ndarray:
    path = [first]
    remaining = [iter(letters) for letters in exits]
    for _ in range(length - 1):
        path.append(next(remaining[path[-1]]))
    return np.array(path, dtype=np.uint8)
