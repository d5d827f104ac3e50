"""Check of an annotation file and its images: every fault, in plain words."""

from genvis.data.check.check_result import CheckResult, Summary, check_annotations
from genvis.data.check.findings import Finding, Findings, Kind, Severity

__all__ = ["CheckResult", "Finding", "Findings", "Kind", "Severity", "Summary", "check_annotations"]
