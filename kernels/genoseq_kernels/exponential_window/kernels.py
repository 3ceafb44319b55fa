"""Triton kernel of `exponential_window_`, over tiles (CHANNELS, SPAN) of channels and positions."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.room import row_end


@triton.jit
def window(
    x, remains, t, y, scale,
    x_entry, x_channel, x_position, y_entry, y_channel, y_position, channels, length,
    ROOM: tl.constexpr, CHANNELS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """y, which may be x. With ROOM rows are read and written to the next multiple of 16, as `rows.have_room`
    says. Programs beside each other take the same times, which are read from memory once."""
    program = tl.program_id(0)
    channel_blocks = tl.cdiv(channels, CHANNELS)
    position_blocks = tl.cdiv(length, SPAN)
    channel = (program % channel_blocks).to(tl.int64) * CHANNELS + tl.arange(0, CHANNELS)[:, None]
    block = program // channel_blocks
    position = (block % position_blocks).to(tl.int64) * SPAN + tl.arange(0, SPAN)[None, :]
    entry = (block // position_blocks).to(tl.int64)

    inside = (channel < channels) & (position < row_end(length, ROOM))
    values = tl.load(x + entry * x_entry + channel * x_channel + position * x_position, inside, other=0.0)
    values = values.to(tl.float32)
    if ROOM:
        values = tl.where(position < length, values, 0.0)
    left = tl.load(remains + channel, channel < channels, other=1.0).to(tl.float32)
    # Finite where nothing remains: at time 0 all is there.
    rate = tl.maximum(tl.log2(left), -1e38)
    time = tl.load(t + position, position < length, other=0.0).to(tl.float32)
    result = values * (1 + scale * tl.exp2(rate * time))
    place = y + entry * y_entry + channel * y_channel + position * y_position
    tl.store(place, result.to(y.dtype.element_ty), inside)
