"""What the process that data workers are forked from does first. It alone imports this module."""

from __future__ import annotations

from genoseq.data import *  # noqa: F403  imported here, all of it is there in each worker from its start
from genoseq.data.workers import leave_stop_signals

leave_stop_signals()
