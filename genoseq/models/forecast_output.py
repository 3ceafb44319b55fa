"""From what the last layer of a forecaster gives to its output."""

from __future__ import annotations

import torch

from genoseq.models.signal import SignalOutput


def as_forecast(
    values: torch.Tensor,
    location: torch.Tensor | None = None,
    scale: torch.Tensor | None = None,
    *,
    hidden: torch.Tensor | None = None,
) -> SignalOutput:
    """The output of a forecaster.

    Args:
        values: (B, C, H, P) of the normalised series; the first of the P is where the forecast is: the value
            itself, the median, or the location of a distribution.
        location, scale: (B, 1, C) of the normalisation; None for none.
        hidden: (B, positions, D) that they were made from.
    """
    parameters = values.transpose(1, 2)
    if location is None or scale is None:
        zeros = torch.zeros_like(parameters[:, :1, :, 0])
        location, scale = zeros, zeros + 1
    prediction = parameters[..., 0] * scale + location
    if parameters.shape[-1] == 1:
        return SignalOutput(prediction, hidden)
    return SignalOutput(prediction, hidden, parameters=parameters, location=location, scale=scale)
