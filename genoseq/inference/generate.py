"""New sequences from a causal language model."""

from __future__ import annotations

from collections.abc import Iterator

from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, batches
from genoseq.models.base import SequenceModel


def generate(
    model: SequenceModel,
    *,
    length: int,
    num_sequences: int = 1,
    prompt: str | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    batch_size: int = 16,
) -> Iterator[Record]:
    """Draw sequences, `batch_size` at a time, named `generated_0`, `generated_1`, ...

    Sequence i depends on the model, the settings, the seed and i, not on `batch_size` or `num_sequences`.

    Args:
        model: a causal language model with a tokenizer of single nucleotides.
        length: bases of each sequence, the prompt included.
        num_sequences: how many.
        prompt, temperature, top_k, top_p: see `genoseq.models.generation`.
        seed: of the draws.
        batch_size: sequences at a time.

    Raises:
        ConfigError: the model is no causal language model, or a setting that is out of its range.
        SequenceError: a prompt that is no nucleotides, or a length beyond what the model takes.
        DeviceError: a batch does not fit in memory.
    """
    if num_sequences < 1:
        raise ConfigError(f"num_sequences={num_sequences} has to be at least 1.")
    for indices in batches(range(num_sequences), batch_size):
        with explain_full_memory(len(indices)):
            sequences = model.generate(
                prompt,
                length=length,
                num_sequences=len(indices),
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                first_index=indices[0],
            )
        for index, sequence in zip(indices, sequences, strict=True):
            yield Record(f"generated_{index}", sequence)
