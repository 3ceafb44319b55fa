"""What the process that data workers are forked from does first. It alone imports this module."""

from __future__ import annotations

import genoseq.data.datamodule  # noqa: F401  imported here, it is there in each worker from its start
from genoseq.data.workers import leave_stop_signals

leave_stop_signals()
