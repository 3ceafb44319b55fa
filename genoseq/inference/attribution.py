"""What each base of a sequence contributes to a prediction, by its gradient (with captum)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch

from genoseq.errors import ConfigError, require_choice
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, naming, require_tokenizer, tokenize
from genoseq.inference.regions import Region
from genoseq.inference.targets import chosen_output
from genoseq.inference.variant_scores import score_policy
from genoseq.models.base import SequenceModel
from genoseq.models.heads import SequenceHead
from genoseq.models.token_shares import one_hot_tokens, read_shares
from genoseq.sequence import Strands, reverse_complement

GradientMethod = Literal["saliency", "input_x_gradient", "integrated_gradients"]
Attribute = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def attribute_bases(
    model: SequenceModel,
    regions: Iterable[Region],
    *,
    method: GradientMethod = "integrated_gradients",
    target: str | None = None,
    strands: Strands | None = None,
    steps: int = 32,
    batch_size: int = 16,
) -> Iterator[pd.DataFrame]:
    """The share of each base in a prediction.

    What is explained is the logit of a class or label, or the number, that a head predicts; of a causal
    language model the log-likelihood of the whole sequence, in nats. Gradients are with respect to one-hot
    letters, of which the one that is there counts.

    Args:
        model: with a tokenizer.
        regions: sequences, read as they are, and the part of each that is told of.
        method: `saliency`, the gradient's size; `input_x_gradient`; or `integrated_gradients`, along the way
            from letters that are a quarter of each base (even shares of all words, for other tokens), whose
            sum over the sequence is the prediction minus that of such letters.
        target: class or label that is explained, where there are several.
        strands: what becomes of the two strands, see `score_policy`; averages are of both strands' shares.
        steps: of `integrated_gradients`.
        batch_size: sequences, or steps, at a time.

    Yields:
        A table a region, in order, with the columns `name`, `position`, for intervals also `chromosome` and
        `genome_position`, `base` and `attribution`. A word's share is spread evenly over its bases.

    Raises:
        ConfigError: there is no such method or target, the model has nothing to explain so or no gradients
            that reach all it reads (`read_shares`), or captum is not installed.
        SequenceError, DeviceError: as for `saturation_mutagenesis`.

    Source: Simonyan et al. 2014, "Deep Inside Convolutional Networks", for saliency; Sundararajan et al.
    2017, "Axiomatic Attribution for Deep Networks", for integrated gradients.
    """
    require_choice("method", method, get_args(GradientMethod))
    if steps < 1:
        raise ConfigError(f"steps={steps}: give 1 or more.")
    policy = score_policy(model, strands)
    if policy.passes > 1:
        raise ConfigError(
            f"strands={policy.name} gives a sequence twice, and its bases would share what they contribute. "
            "Give strands=none or average, or method=mutagenesis."
        )
    explained = _explained(model, target)
    attribute = _method(method, explained, steps, batch_size)
    for region in regions:
        with naming(Record(region.name, region.sequence)), explain_full_memory(batch_size):
            shares = _of_sequence(model, region.sequence, attribute)
            if policy.averages:
                turned = _of_sequence(model, reverse_complement(region.sequence), attribute)
                shares = (shares + turned[::-1]) / 2
        part = shares[region.start : region.end]
        columns = {"base": list(region.letters), "attribution": part.astype(np.float32)}
        yield pd.DataFrame(region.places(np.arange(len(part))) | columns)


def _of_sequence(model: SequenceModel, sequence: str, attribute: Attribute) -> np.ndarray:
    """(L,) float64, the share of each letter."""
    tokenizer = require_tokenizer(model)
    tokens = tokenize([Record("", sequence)], model)
    with torch.enable_grad():
        per_token = attribute(one_hot_tokens(model, tokens.input_ids), tokens.input_ids)
    values = per_token.detach().sum(-1)[0].double().cpu().numpy()
    ids = tokens.input_ids[0].cpu().numpy()
    shares = np.zeros(len(sequence))
    for (start, end), value in zip(tokenizer.offsets(ids, len(sequence)), values, strict=True):
        shares[start:end] += value / max(end - start, 1)
    return shares


def _method(name: GradientMethod, explained: _Prediction, steps: int, batch_size: int) -> Attribute:
    """A method of captum as a function of (1, L, V) one-hot tokens and their ids (1, L)."""
    try:
        from captum.attr import InputXGradient, IntegratedGradients
    except ImportError as error:
        raise ConfigError(
            "gradients are taken with captum: pip install 'genoseq[attribution]', or give method=mutagenesis."
        ) from error
    if name != "integrated_gradients":
        product = InputXGradient(explained)

        def local(shares: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            # Of one-hot input, the product with the gradient is the gradient of the letter that is there.
            found = product.attribute(shares.requires_grad_(), additional_forward_args=(ids,))
            return found.abs() if name == "saliency" else found

        return local
    integrated = IntegratedGradients(explained)

    def along(shares: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        baseline = explained.baseline(shares, ids)
        return integrated.attribute(
            shares,
            baselines=baseline,
            additional_forward_args=(ids,),
            n_steps=steps,
            internal_batch_size=batch_size,
        )

    return along


class _Prediction:
    """A number for each row of token shares (B, L, V), that gradients are taken of."""

    def __init__(self, model: SequenceModel, output: int | None) -> None:
        self.model = model
        self.output = output

    def __call__(self, shares: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """(B,)."""
        logits = read_shares(self.model, shares, ids).logits.float()
        if self.output is not None:
            return logits[:, self.output]
        tokenizer = require_tokenizer(self.model)
        known = torch.as_tensor(tokenizer.known_ids, device=ids.device)
        log_probs = logits[:, :-1, : tokenizer.vocab_size].log_softmax(-1)
        # Shares, not tokens, are what comes next: both what is read and what is told is explained.
        told = (log_probs * shares[:, 1:, : tokenizer.vocab_size]).sum(-1)
        return told.where(torch.isin(ids[:, 1:], known), 0.0).sum(1)

    def baseline(self, shares: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The same with letters that could be any."""
        tokenizer = require_tokenizer(self.model)
        known = torch.as_tensor(tokenizer.known_ids, device=ids.device)
        even = torch.zeros(shares.shape[-1], dtype=shares.dtype, device=shares.device)
        even[known] = 1 / len(known)
        return torch.where(torch.isin(ids, known)[..., None], even, shares)


def _explained(model: SequenceModel, target: str | None) -> _Prediction:
    head = model.head
    if isinstance(head, SequenceHead):
        return _Prediction(model, chosen_output(model, head, target))
    if head.head_type != "language_model":
        raise ConfigError(
            f"gradients explain a prediction or the likelihood of a causal language model, and this is a "
            f"{type(head).__name__}. Give method=mutagenesis."
        )
    if target is not None:
        raise ConfigError(f"target={target}: a language model has one likelihood. Leave it out.")
    return _Prediction(model, None)
