"""What operators take in memory while they run, by name: no count of tensors sees it."""

from __future__ import annotations

from genoseq_kernels.causal_conv1d import operators as causal_conv1d
from genoseq_kernels.dry_run import own_scratch
from genoseq_kernels.exponential_window import workspace as exponential_window
from genoseq_kernels.fft_conv import workspace as fft_conv
from genoseq_kernels.gated_delta_rule import operators as gated_delta_rule
from genoseq_kernels.gelu import workspace as gelu
from genoseq_kernels.layer_norm import workspace as layer_norm
from genoseq_kernels.live_bytes import Workspace
from genoseq_kernels.selective_scan import workspace as selective_scan
from genoseq_kernels.ssd import operators as ssd

WORKSPACES: dict[str, Workspace] = {
    "aten::_fft_r2c": fft_conv.real_transform,
    "aten::_fft_c2r": fft_conv.inverse_real_transform,
    "genoseq::add_layer_norm": layer_norm.forward,
    "genoseq::causal_conv1d": own_scratch(causal_conv1d.causal_conv1d_forward),
    "genoseq::causal_conv1d_backward": own_scratch(causal_conv1d.causal_conv1d_backward),
    "genoseq::exponential_window": exponential_window.window,
    "genoseq::exponential_window_": exponential_window.window,
    "genoseq::fft_conv": fft_conv.forward,
    "genoseq::fft_conv_backward": fft_conv.backward,
    "genoseq::gated_delta_rule": own_scratch(gated_delta_rule.gated_delta_rule_forward),
    "genoseq::gated_delta_rule_backward": own_scratch(gated_delta_rule.gated_delta_rule_backward),
    "genoseq::gelu_backward_": gelu.backward,
    "genoseq::layer_norm": layer_norm.forward,
    "genoseq::layer_norm_backward": layer_norm.backward,
    "genoseq::selective_scan": selective_scan.forward,
    "genoseq::selective_scan_backward": selective_scan.backward,
    "genoseq::ssd": own_scratch(ssd.ssd_forward),
    "genoseq::ssd_backward": own_scratch(ssd.ssd_backward),
}
