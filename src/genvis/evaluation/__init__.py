"""Scores: average precision as YouTube-VIS defines it, identity metrics, error analysis, reports."""

from genvis.evaluation.evaluator import evaluate
from genvis.evaluation.report import EvaluationReport
from genvis.evaluation.submission import write_submission

__all__ = ["EvaluationReport", "evaluate", "write_submission"]
