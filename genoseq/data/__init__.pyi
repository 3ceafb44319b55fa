from .abilities import Ability, AbilityExamples, AbilityLessons
from .ability_datamodule import AbilityDataModule
from .alleles import AllelePair, AlleleReader, check_contig_lengths
from .annotation import read_transcripts
from .bed import parse_interval, read_bed, read_summits
from .coding import read_between_genes, read_coding_pairs, read_coding_sequences
from .coding_datamodule import CodingDataModule
from .coding_examples import CodingExamples
from .conditional_datamodule import ConditionalDataModule
from .contigs import ContigNames
from .datamodule import SequenceDataModule
from .families import is_whole, protein_families, split_genes
from .fasta import Fasta
from .few_shot_datamodule import FewShotDataModule
from .forecast_windows import ForecastWindows
from .forecasting_datamodule import ForecastingDataModule
from .gene_models import GeneModel, read_gene_models
from .genome import GenomeTiles, GenomeWindows
from .genome_coding import GenomeCoding
from .genome_datamodule import GenomeDataModule
from .genomes import Genomes
from .intervals import IntervalSequences
from .labelled import LabelledSequences
from .labelled_datamodule import LabelledDataModule
from .labels import LabelReader
from .leaks import find_leaks, kmer_groups, overlapping
from .long_range_tasks import ListOps, Pathfinder
from .matching import matching_pairs
from .read_pairs import ReadPairs, ReadPairsDataModule
from .reads import Read, read_reads
from .sensors import SensorDataModule
from .series_datamodule import SeriesDataModule
from .series_sources import SequentialDigits, TsFiles
from .splice_positions import splice_sites
from .splits import BlockSplit, ChromosomeSplit, GenomeSplit, IntervalSplit, split_groups
from .substitutions import Substitution, as_substitutions, codon_substitutions
from .tables import read_table
from .time_borders import FractionBorders, MonthBorders
from .time_series import TimeSeries, read_time_series
from .ts_files import read_ts
from .vcf import Vcf
from .wfdb_records import read_wfdb

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
