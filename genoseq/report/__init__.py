"""Plots and the HTML report of finished runs, made from the files in their folders."""

from genoseq.report.html import write_report

__all__ = ["write_report"]
