"""What each policy of strands is, and which labels it is refused for."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from genoseq.errors import ConfigError
from genoseq.sequence import Strands, strand_policy

# (turns, averages, symmetric, second_pass), and whether it goes with stranded labels.
MEANING = {
    "none": ((False, False, False, None), True),
    "augment": ((True, False, False, None), False),
    "average": ((True, True, False, None), False),
    "equivariant": ((False, False, True, None), False),
    "echo": ((False, False, False, "other"), True),
    "repeat": ((False, False, False, "same"), True),
}


def test_every_policy_has_a_meaning() -> None:
    assert set(get_args(Strands)) == set(MEANING)


@pytest.mark.parametrize("name", MEANING)
def test_meaning(name: Any) -> None:
    policy = strand_policy(name)
    meaning, for_stranded = MEANING[name]
    assert (policy.turns, policy.averages, policy.symmetric, policy.second_pass) == meaning
    assert policy.passes == (1 if meaning[-1] is None else 2)
    policy.require_labels("unstranded")
    if for_stranded:
        policy.require_labels("stranded")
        return
    with pytest.raises(ConfigError, match=rf"strands={name} .*strands=none.*strand=unstranded"):
        policy.require_labels("stranded")


def test_what_there_is_not() -> None:
    for given in ("both", True, None):
        with pytest.raises(ConfigError, match=f"strands={given!r}: choose one of none, augment, average"):
            strand_policy(given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="strand='both'"):
        strand_policy("none").require_labels("both")
