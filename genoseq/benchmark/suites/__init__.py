"""Suites of labelled tasks, in the forms that they were published in."""

from genoseq.benchmark.suites.base import Suite, Task
from genoseq.benchmark.suites.genomic_benchmarks import GenomicBenchmarks
from genoseq.benchmark.suites.tables import NucleotideTransformerSuite, TableSuite

__all__ = ["GenomicBenchmarks", "NucleotideTransformerSuite", "Suite", "TableSuite", "Task"]
