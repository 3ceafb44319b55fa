"""Operators that sequence models are made of, each with a plain-torch reference and a choice of backends."""

from genoseq_kernels.causal_conv1d import causal_conv1d, causal_conv1d_update
from genoseq_kernels.dispatch import Backend, BackendUnavailable
from genoseq_kernels.exponential_window import exponential_window_
from genoseq_kernels.fft_conv import fft_conv, filter_spectrum
from genoseq_kernels.fft_conv.sparse import FrequencyPattern, sparse_fft_conv
from genoseq_kernels.gated_delta_rule import gated_delta_rule, gated_delta_rule_update
from genoseq_kernels.gelu import gelu_backward_
from genoseq_kernels.layer_norm import branch_norm, layer_norm, rms_norm
from genoseq_kernels.selective_scan import selective_scan, selective_state_update
from genoseq_kernels.ssd import ssd

__all__ = [
    "Backend",
    "BackendUnavailable",
    "FrequencyPattern",
    "branch_norm",
    "causal_conv1d",
    "causal_conv1d_update",
    "exponential_window_",
    "fft_conv",
    "filter_spectrum",
    "gated_delta_rule",
    "gated_delta_rule_update",
    "gelu_backward_",
    "layer_norm",
    "rms_norm",
    "selective_scan",
    "selective_state_update",
    "sparse_fft_conv",
    "ssd",
]
