"""The one place that chooses the class of a detector."""

from transformers import EomtConfig, Mask2FormerConfig, PreTrainedConfig, RfDetrConfig

from genvis.errors import InputError
from genvis.model.detector.base import FrameDetector
from genvis.model.detector.eomt import EoMTDetector
from genvis.model.detector.mask2former import Mask2FormerDetector
from genvis.model.detector.rf_detr import RFDETRDetector
from genvis.model.preprocessing import Preprocessing


def build_detector(config: PreTrainedConfig, preprocessing: Preprocessing) -> FrameDetector:
    """Return a newly initialised detector.

    Args:
        config: Of transformers' class: Mask2Former, EoMT or RF-DETR.
        preprocessing: Way from a frame to its input.

    Raises:
        InputError: If there is no detector for this configuration.
    """
    if isinstance(config, Mask2FormerConfig):
        return Mask2FormerDetector(config, preprocessing)
    if isinstance(config, EomtConfig):
        return EoMTDetector(config, preprocessing)
    if isinstance(config, RfDetrConfig):
        return RFDETRDetector(config, preprocessing)
    raise InputError(f"There is no detector of type '{config.model_type}': take mask2former, eomt or rf_detr.")
