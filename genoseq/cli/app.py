"""`genoseq VERB key=value ...`: the verb is taken off, the rest is Hydra's, mistakes are one message."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from genoseq.cli.suggestions import did_you_mean
from genoseq.cli.verbs import VERBS
from genoseq.errors import ConfigError, GenoseqError

USER_MISTAKE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line.

    Args:
        arguments: what stands after `genoseq`; by default what the shell gave.

    Raises:
        SystemExit: with code 2 after a mistake of the user, told in one message on the standard error (set
            `HYDRA_FULL_ERROR=1` to see where it was noticed), with 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _let_threads_sleep()
    try:
        _run(words)
    except GenoseqError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"genoseq: {error}", file=sys.stderr)
        raise SystemExit(USER_MISTAKE) from None
    except KeyboardInterrupt:
        print("genoseq: interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def _let_threads_sleep() -> None:
    """Let OpenMP's threads spin at a barrier for some microseconds only, then sleep.

    Training is several times slower otherwise where anything else is running, and as fast where nothing is.
    OpenMP reads these when torch is first imported, which is later.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def _run(words: list[str]) -> None:
    from genoseq.cli.help_pages import print_overview

    if not words or words[0] in ("--help", "-h", "help"):
        print_overview()
    elif words[0] == "--version":
        from genoseq import __version__

        print(f"genoseq {__version__}")
    elif words[0] not in VERBS:
        suggestion = did_you_mean(words[0], VERBS)
        raise ConfigError(" ".join(filter(None, (f"there is no verb {words[0]}.", suggestion, _verbs()))))
    else:
        from genoseq.cli.jobs import run_verb

        run_verb(VERBS[words[0]], words[1:])


def _verbs() -> str:
    return f"There are: {', '.join(VERBS)}."
