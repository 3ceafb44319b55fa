"""What the tests of all operators share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from triton.runtime import interpreter


@pytest.fixture(autouse=True)
def interpreter_prepared_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Triton's interpreter prepares its language anew at each call of a helper, which takes all the time."""
    original, scopes = interpreter._patch_lang, {}

    def prepare(function: Any) -> Any:
        module = id(function.__globals__)
        if module not in scopes:
            scopes[module] = original(function)
        return interpreter._LangPatchScope()

    monkeypatch.setattr(interpreter, "_patch_lang", prepare)
    yield
    for scope in reversed(scopes.values()):
        scope.restore()
