"""Average precision as YouTube-VIS defines it, tracking metrics, costs of errors, reports."""

from genvis.evaluation.evaluate import evaluate
from genvis.evaluation.evaluation_report import EvaluationReport
from genvis.evaluation.submission import write_submission

__all__ = ["EvaluationReport", "evaluate", "write_submission"]
