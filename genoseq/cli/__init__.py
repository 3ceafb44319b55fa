"""The command line: `genoseq VERB key=value ...`."""

from genoseq.cli.app import main

__all__ = ["main"]
