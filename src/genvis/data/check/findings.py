"""Findings of a check: kinds of problem, how often each occurs, and the first places where it does."""

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """Weight of a finding."""

    ERROR = "error"
    """The file cannot be used as it is, or a part of it means something else than its author thinks."""
    WARNING = "warning"
    """Usable, but probably not meant so."""
    NOTE = "note"
    """Worth knowing; nothing needs to be done."""


@dataclass(frozen=True)
class Kind:
    """One kind of problem, in plain words.

    Attributes:
        name: A short name that scripts can rely on, for example ``"missing-image"``.
        severity: How much it matters.
        sentence: What is wrong, in plain words.
        remedy: What to do about it; empty where the sentence says it.
    """

    name: str
    severity: Severity
    sentence: str
    remedy: str = ""


@dataclass
class Finding:
    """All occurrences of one kind of problem: their number, and the first few in words."""

    kind: Kind
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Findings:
    """All problems that were found; the first never stops the search.

    Args:
        most_examples: How many examples of each kind are kept.
    """

    def __init__(self, most_examples: int = 3) -> None:
        self._most_examples = most_examples
        self._findings: dict[str, Finding] = {}

    def add(self, kind: Kind, example: str, count: int = 1) -> None:
        """Record ``count`` occurrences of a problem at a place that ``example`` names, values included."""
        finding = self._findings.setdefault(kind.name, Finding(kind))
        finding.count += count
        if len(finding.examples) < self._most_examples:
            finding.examples.append(example)

    def sorted(self) -> list[Finding]:
        """Return the findings: errors first, then warnings, then notes; the order of discovery within each."""
        order = list(Severity)
        return sorted(self._findings.values(), key=lambda finding: order.index(finding.kind.severity))

    def count(self, severity: Severity) -> int:
        """Return how many occurrences of problems of this severity there are."""
        return sum(finding.count for finding in self._findings.values() if finding.kind.severity is severity)

    def names(self) -> set[str]:
        """Return the names of the kinds of problem that were found."""
        return set(self._findings)

    def get(self, name: str) -> Finding | None:
        """Return the finding of that name, or None if there is none."""
        return self._findings.get(name)
