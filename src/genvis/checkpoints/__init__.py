"""Checkpoints: the published files, and our folder format."""

from genvis.checkpoints.loading import detector_from_mask2former, load_published
from genvis.checkpoints.shapes import Untold

__all__ = ["Untold", "detector_from_mask2former", "load_published"]
