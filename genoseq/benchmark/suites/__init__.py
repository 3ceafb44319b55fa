"""Suites of labelled tasks, in the forms that they were published in."""

from genoseq.benchmark.suites.base import Suite, Task
from genoseq.benchmark.suites.deepsea import DeepSEA
from genoseq.benchmark.suites.dnalongbench import DNALongBench
from genoseq.benchmark.suites.genomic_benchmarks import GenomicBenchmarks
from genoseq.benchmark.suites.interval_tables import IntervalSet, IntervalSuite
from genoseq.benchmark.suites.species import SpeciesClassification
from genoseq.benchmark.suites.tables import NucleotideTransformerSuite, TableSuite

__all__ = [
    "DNALongBench",
    "DeepSEA",
    "GenomicBenchmarks",
    "IntervalSet",
    "IntervalSuite",
    "NucleotideTransformerSuite",
    "SpeciesClassification",
    "Suite",
    "TableSuite",
    "Task",
]
