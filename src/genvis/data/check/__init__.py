"""Says everything that is wrong with an annotation file and its images, in plain words."""

from genvis.data.check.findings import Finding, Findings, Kind, Severity
from genvis.data.check.result import CheckResult, Summary, check_annotations

__all__ = ["CheckResult", "Finding", "Findings", "Kind", "Severity", "Summary", "check_annotations"]
