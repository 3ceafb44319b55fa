"""Tasks of the central dogma, for models and baselines alike: each takes functions, and gives estimates."""

from genoseq.benchmark.contacts import esm2_contacts
from genoseq.benchmark.matching import (
    Embedding,
    PairScore,
    evaluate_matching,
    length_score,
    probe_score,
    residue_likelihood_score,
    score_pairs,
    similarity_score,
    translator_score,
)
from genoseq.benchmark.probes import (
    Parts,
    States,
    neighbour_means,
    one_hot,
    probe_contacts,
    probe_residues,
    residue_scales,
)
from genoseq.benchmark.substitutions import blosum_changes, codon_frequency_changes, evaluate_substitutions
from genoseq.benchmark.translation import (
    Translate,
    codon_majority,
    most_frequent_residue,
    translation_accuracy,
)

__all__ = [
    "Embedding",
    "PairScore",
    "Parts",
    "States",
    "Translate",
    "blosum_changes",
    "codon_frequency_changes",
    "codon_majority",
    "esm2_contacts",
    "evaluate_matching",
    "evaluate_substitutions",
    "length_score",
    "most_frequent_residue",
    "neighbour_means",
    "one_hot",
    "probe_contacts",
    "probe_residues",
    "probe_score",
    "residue_likelihood_score",
    "residue_scales",
    "score_pairs",
    "similarity_score",
    "translation_accuracy",
    "translator_score",
]
