"""What is in a file, and what a run would do with it."""

from genoseq.data.inspection.findings import Findings, Options
from genoseq.data.inspection.readers import READERS, Reader, inspect

__all__ = ["READERS", "Findings", "Options", "Reader", "inspect"]
