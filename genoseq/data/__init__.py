"""Readers, splits, leaks, datasets and data modules: from files to batches."""

from genoseq.data.abilities import Ability, AbilityExamples, AbilityLessons
from genoseq.data.ability_datamodule import AbilityDataModule
from genoseq.data.alleles import AllelePair, AlleleReader, check_contig_lengths
from genoseq.data.annotation import read_transcripts
from genoseq.data.bed import parse_interval, read_bed, read_summits
from genoseq.data.coding import read_between_genes, read_coding_pairs, read_coding_sequences
from genoseq.data.coding_datamodule import CodingDataModule
from genoseq.data.coding_examples import CodingExamples
from genoseq.data.conditional_datamodule import ConditionalDataModule
from genoseq.data.contigs import ContigNames
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.families import is_whole, protein_families, split_genes
from genoseq.data.fasta import Fasta
from genoseq.data.few_shot_datamodule import FewShotDataModule
from genoseq.data.forecast_windows import ForecastWindows
from genoseq.data.forecasting_datamodule import ForecastingDataModule
from genoseq.data.gene_models import GeneModel, read_gene_models
from genoseq.data.genome import GenomeTiles, GenomeWindows
from genoseq.data.genome_coding import GenomeCoding
from genoseq.data.genome_datamodule import GenomeDataModule
from genoseq.data.genomes import Genomes
from genoseq.data.intervals import IntervalSequences
from genoseq.data.labelled import LabelledSequences
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.data.labels import LabelReader
from genoseq.data.leaks import find_leaks, kmer_groups, overlapping
from genoseq.data.long_range_tasks import ListOps, Pathfinder
from genoseq.data.matching import matching_pairs
from genoseq.data.read_pairs import ReadPairs, ReadPairsDataModule
from genoseq.data.reads import Read, read_reads
from genoseq.data.sensors import SensorDataModule
from genoseq.data.series_datamodule import SeriesDataModule
from genoseq.data.series_sources import SequentialDigits, TsFiles
from genoseq.data.splice_sites import splice_sites
from genoseq.data.splits import BlockSplit, ChromosomeSplit, GenomeSplit, IntervalSplit, split_groups
from genoseq.data.substitutions import Substitution, as_substitutions, codon_substitutions
from genoseq.data.tables import read_table
from genoseq.data.time_borders import FractionBorders, MonthBorders
from genoseq.data.time_series import TimeSeries, read_time_series
from genoseq.data.ts_files import read_ts
from genoseq.data.vcf import Vcf
from genoseq.data.wfdb_records import read_wfdb

__all__ = [
    "Ability",
    "AbilityDataModule",
    "AbilityExamples",
    "AbilityLessons",
    "AllelePair",
    "AlleleReader",
    "BlockSplit",
    "ChromosomeSplit",
    "CodingDataModule",
    "CodingExamples",
    "ConditionalDataModule",
    "ContigNames",
    "Fasta",
    "FewShotDataModule",
    "ForecastWindows",
    "ForecastingDataModule",
    "FractionBorders",
    "GeneModel",
    "GenomeCoding",
    "GenomeDataModule",
    "GenomeSplit",
    "GenomeTiles",
    "GenomeWindows",
    "Genomes",
    "IntervalSequences",
    "IntervalSplit",
    "LabelReader",
    "LabelledDataModule",
    "LabelledSequences",
    "ListOps",
    "MonthBorders",
    "Pathfinder",
    "SensorDataModule",
    "Read",
    "ReadPairs",
    "ReadPairsDataModule",
    "SequenceDataModule",
    "SequentialDigits",
    "SeriesDataModule",
    "Substitution",
    "TimeSeries",
    "TsFiles",
    "Vcf",
    "as_substitutions",
    "check_contig_lengths",
    "codon_substitutions",
    "find_leaks",
    "is_whole",
    "kmer_groups",
    "matching_pairs",
    "overlapping",
    "parse_interval",
    "protein_families",
    "read_bed",
    "read_between_genes",
    "read_coding_pairs",
    "read_gene_models",
    "read_coding_sequences",
    "read_reads",
    "read_summits",
    "read_table",
    "read_time_series",
    "read_transcripts",
    "read_ts",
    "read_wfdb",
    "splice_sites",
    "split_genes",
    "split_groups",
]
