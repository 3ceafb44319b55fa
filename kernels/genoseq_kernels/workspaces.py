"""What operators take in memory while they run, by name: no count of tensors sees it."""

from __future__ import annotations

from genoseq_kernels.exponential_window import workspace as exponential_window
from genoseq_kernels.fft_conv import workspace as fft_conv
from genoseq_kernels.gelu import workspace as gelu
from genoseq_kernels.layer_norm import workspace as layer_norm
from genoseq_kernels.live_bytes import Workspace

WORKSPACES: dict[str, Workspace] = {
    "aten::_fft_r2c": fft_conv.real_transform,
    "aten::_fft_c2r": fft_conv.inverse_real_transform,
    "genoseq::add_layer_norm": layer_norm.forward,
    "genoseq::exponential_window": exponential_window.window,
    "genoseq::exponential_window_": exponential_window.window,
    "genoseq::fft_conv": fft_conv.forward,
    "genoseq::fft_conv_backward": fft_conv.backward,
    "genoseq::gelu_backward_": gelu.backward,
    "genoseq::layer_norm": layer_norm.forward,
    "genoseq::layer_norm_backward": layer_norm.backward,
}
