from .attribution import attribute_bases
from .changes import change_scores
from .codons import codon_states
from .embeddings import embed
from .forecasts import forecast
from .generation import describe, generate
from .likelihood import bits_per_base, score_bases
from .mutagenesis import saturation_mutagenesis
from .predictions import predict
from .records import Record, read_records
from .regions import Region, read_regions
from .variant_files import VcfScoring, annotate_vcf
from .variants import ScoreSettings, VariantScorer, score_variants

__all__ = [
    "Record",
    "Region",
    "ScoreSettings",
    "VariantScorer",
    "VcfScoring",
    "annotate_vcf",
    "attribute_bases",
    "bits_per_base",
    "change_scores",
    "codon_states",
    "describe",
    "embed",
    "forecast",
    "generate",
    "predict",
    "read_records",
    "read_regions",
    "saturation_mutagenesis",
    "score_bases",
    "score_variants",
]
