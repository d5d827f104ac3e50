"""Checkpoints: the published files, and our folder format."""

from genvis.checkpoints.hub_families import detector_from_mask2former
from genvis.checkpoints.infer_config import Untold
from genvis.checkpoints.published_files import load_published
from genvis.checkpoints.save import check_folder, save_model

__all__ = ["Untold", "check_folder", "detector_from_mask2former", "load_published", "save_model"]
