"""Checkpoints: the published files, and our folder format."""

from genvis.checkpoints.loading import load_published
from genvis.checkpoints.mask2former import detector_from_mask2former
from genvis.checkpoints.saving import check_folder, save_model
from genvis.checkpoints.shapes import Untold

__all__ = ["Untold", "check_folder", "detector_from_mask2former", "load_published", "save_model"]
