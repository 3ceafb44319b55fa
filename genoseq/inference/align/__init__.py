"""Reads against a genome: vectors of both, the nearest windows, and an exact alignment to those."""

from genoseq.inference.align.encoders import KmerEncoder, ModelEncoder, ReadEncoder
from genoseq.inference.align.index import GenomeIndex, build_index, load_index, save_index
from genoseq.inference.align.output import PafWriter, SamWriter, open_alignments
from genoseq.inference.align.run import Aligned, AlignSettings, align
from genoseq.inference.align.store import STORES, VectorStore, make_store

__all__ = [
    "STORES",
    "AlignSettings",
    "Aligned",
    "GenomeIndex",
    "KmerEncoder",
    "ModelEncoder",
    "PafWriter",
    "ReadEncoder",
    "SamWriter",
    "VectorStore",
    "align",
    "build_index",
    "load_index",
    "make_store",
    "open_alignments",
    "save_index",
]
