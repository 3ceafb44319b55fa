"""Plots and the HTML report of finished runs, made from the files in their folders, and of designs."""

from genoseq.report.designs import DesignReport
from genoseq.report.html import write_report

__all__ = ["DesignReport", "write_report"]
