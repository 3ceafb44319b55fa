"""Reads of a sequencer: FASTQ or FASTA, plain or gzip, one after the other."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from Bio.SeqIO.FastaIO import SimpleFastaParser
from Bio.SeqIO.QualityIO import FastqGeneralIterator

from genoseq.errors import DataError
from genoseq.paths import require_file

_FASTQ = (".fastq", ".fq")
_FASTA = (".fasta", ".fa", ".fna")


class Read(NamedTuple):
    """Attributes:
    name: the first word of its header.
    sequence: its letters.
    quality: a letter a base, as FASTQ has them; None from a FASTA.
    """

    name: str
    sequence: str
    quality: str | None = None


def read_reads(path: str | os.PathLike[str]) -> Iterator[Read]:
    """Stream reads in the order of the file; the ending of its name says of which kind it is.

    Raises:
        DataError: the file is missing, of another kind, cut off, or holds no read.
    """
    located = require_file(path, "the reads")
    name = located.name.lower().removesuffix(".gz")
    if not name.endswith((*_FASTQ, *_FASTA)):
        raise DataError(f"{located.name}: reads are in a .fastq, .fq, .fasta or .fa (.gz). Give such a file.")
    opened = gzip.open if located.name.lower().endswith(".gz") else open
    found = False
    try:
        with opened(located, "rt", encoding="ascii") as handle:
            if name.endswith(_FASTQ):
                for title, sequence, quality in FastqGeneralIterator(handle):
                    found = True
                    yield Read(_name(title), sequence, quality)
            else:
                for title, sequence in SimpleFastaParser(handle):
                    found = True
                    yield Read(_name(title), sequence)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{located} cannot be read: {error}. Is it cut off, or of another kind?") from error
    if not found:
        raise DataError(f"{located} holds no read. Give a file with one at least.")


def _name(title: str) -> str:
    return title.split(maxsplit=1)[0] if title.strip() else "*"
