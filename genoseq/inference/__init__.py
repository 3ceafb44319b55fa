"""What a trained model is used for. Every function streams: input is read, results given, batch by batch."""

from genoseq.inference.attribution import attribute_bases
from genoseq.inference.changes import change_scores
from genoseq.inference.codons import codon_states
from genoseq.inference.embed import embed
from genoseq.inference.forecast import forecast
from genoseq.inference.generate import describe, generate
from genoseq.inference.likelihood import bits_per_base, score_bases
from genoseq.inference.mutagenesis import saturation_mutagenesis
from genoseq.inference.predict import predict
from genoseq.inference.records import Record, read_records
from genoseq.inference.regions import Region, read_regions
from genoseq.inference.variant_files import VcfScoring, annotate_vcf
from genoseq.inference.variants import ScoreSettings, VariantScorer, score_variants

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
