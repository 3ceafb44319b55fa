"""What a trained model is used for. Every function streams: input is read, results given, batch by batch."""

from genoseq.inference.embed import embed
from genoseq.inference.generate import describe, generate
from genoseq.inference.likelihood import base_log_probabilities
from genoseq.inference.predict import predict
from genoseq.inference.records import Record, read_records

__all__ = ["Record", "base_log_probabilities", "describe", "embed", "generate", "predict", "read_records"]
