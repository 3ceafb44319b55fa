"""What a trained model is used for. Every function streams: input is read, results given, batch by batch."""

from genoseq.inference.changes import change_scores
from genoseq.inference.codons import codon_states
from genoseq.inference.embed import embed
from genoseq.inference.forecast import forecast
from genoseq.inference.generate import describe, generate
from genoseq.inference.likelihood import bits_per_base, score_bases
from genoseq.inference.predict import predict
from genoseq.inference.records import Record, read_records

__all__ = [
    "Record",
    "bits_per_base",
    "change_scores",
    "codon_states",
    "describe",
    "embed",
    "forecast",
    "generate",
    "predict",
    "read_records",
    "score_bases",
]
