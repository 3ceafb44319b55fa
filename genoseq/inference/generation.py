"""New sequences from a causal language model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.generation import GeneratedSequence
from genoseq.models.sampling import Sampling
from genoseq.sequence import longest_open_frame


def generate(
    model: SequenceModel,
    *,
    length: int,
    num_sequences: int = 1,
    prompt: str | None = None,
    control: str | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    seed: int = 0,
    batch_size: int = 16,
    drawn: Callable[[int], None] = lambda _: None,
) -> Iterator[GeneratedSequence]:
    """Draw sequences, `batch_size` at a time, each given as soon as its batch is done.

    Sequence i depends on the model, the settings, the seed and i, not on `batch_size` or `num_sequences`.

    Args:
        model: a causal language model with a tokenizer of single nucleotides, or of words of one length.
        length: bases of each sequence, the prompt included.
        num_sequences: how many.
        prompt: letters that every sequence starts with.
        control: the label that the sequences are to have, of a model that was trained with control tokens.
        sampling: how bases are drawn.
        seed: of the draws.
        batch_size: sequences at a time.
        drawn: is told as bases are drawn how many more there are, the given ones counted with the first.

    Raises:
        ConfigError: the model is no causal language model or does not know the control, or a setting that is
            out of its range.
        SequenceError: a prompt that is no nucleotides, or a length beyond what the model takes.
        DeviceError: a batch does not fit in memory.
    """
    if num_sequences < 1:
        raise ConfigError(f"num_sequences={num_sequences} has to be at least 1.")
    for indices in batches(range(num_sequences), batch_size):
        with explain_full_memory(len(indices)):
            results = model.sample(
                prompt,
                length=length,
                num_sequences=len(indices),
                control=control,
                sampling=sampling,
                seed=seed,
                first_index=indices[0],
                drawn=drawn,
            )
        yield from results


def describe(index: int, result: GeneratedSequence, *, code: int | str | None = None) -> Record:
    """A sequence as FASTA has it.

    Args:
        index: its number: it is called `generated_0`, `generated_1`, ...; its length, what was asked for and
            what the model makes of it stand behind the name.
        result: the sequence.
        code: genetic code whose longest open reading frame stands there too; None for none.

    Raises:
        ConfigError: there is no such code.
    """
    words = [f"generated_{index}", f"length={len(result.sequence)}"]
    if result.control is not None:
        words.append(f"control={result.control}")
    if result.num_generated:
        words.append(f"log_likelihood={result.log_likelihood:.4f}")
        words.append(f"bits_per_base={result.bits_per_base:.4f}")
    if result.stopped:
        words.append("stopped")
    if code is not None:
        words += _frame_words(result.sequence, code)
    return Record(" ".join(words), result.sequence)


def _frame_words(sequence: str, code: int | str) -> list[str]:
    frame = longest_open_frame(sequence, code)
    if frame is None:
        return ["frame_codons=0"]
    # As people and GFF count: from 1, both ends included.
    place = f"frame={frame.start + 1}-{frame.stop}:{frame.strand}"
    return [place, f"frame_codons={frame.num_codons}", *(["frame_stops"] if frame.ends else [])]
