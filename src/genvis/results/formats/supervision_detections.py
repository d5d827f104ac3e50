"""Results as ``supervision.Detections``."""

from typing import TYPE_CHECKING

import numpy as np

from genvis.results.types import FrameResult

if TYPE_CHECKING:
    import supervision


def to_supervision(frame: FrameResult) -> "supervision.Detections":
    """Convert the instances of a frame to ``supervision.Detections``.

    Track ids are its ``tracker_id``, classes from 0 its ``class_id``, scores its ``confidence``, labels
    ``data["class_name"]``.
    """
    import supervision

    return supervision.Detections(
        xyxy=np.array([instance.box for instance in frame], np.float32).reshape(-1, 4),
        mask=frame.masks(),
        confidence=np.array([instance.score for instance in frame], np.float32),
        class_id=np.array([instance.label_id for instance in frame], np.int64),
        tracker_id=np.array([instance.id for instance in frame], np.int64),
        data={"class_name": np.array([instance.label for instance in frame], np.str_)},
    )
