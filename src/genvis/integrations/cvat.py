"""Detection function for CVAT: objects with track ids, frame by frame, for ``cvat-cli task auto-annotate``.

CVAT calls `detect` with the frames of a task in their order. A detection function makes shapes, never tracks; so the
track id is the shapes' group, from which ``genvis data convert from-cvat --identity group`` makes tracks again::

    cvat-cli task auto-annotate 42 --function-module genvis.integrations.cvat \\
        -p weights=str:videomt-s-ytvis2019 -p score_threshold=float:0.4 --allow-unmatched-labels

`genvis cvat push` writes tracks at once, where the video is at hand.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from genvis.checkpoints.registry import DEFAULT_MODEL
from genvis.errors import InputError, MissingExtraError
from genvis.inference.trackers.choose import TrackerName

if TYPE_CHECKING:
    from cvat_sdk.auto_annotation import DetectionFunctionContext, DetectionFunctionSpec
    from cvat_sdk.models import LabeledShapeRequest
    from PIL.Image import Image

    from genvis.inference.segmenter import VideoSegmenter
    from genvis.inference.session import Session
    from genvis.results.types import Instance

# IoU that the polygons of an object have with its mask, where CVAT asks for polygons.
POLYGON_IOU = 0.98


def create(
    *,
    weights: str = DEFAULT_MODEL,
    device: str = "auto",
    tracker: TrackerName | None = None,
    resolution: int | None = None,
    score_threshold: float = 0.3,
    classes: str = "",
) -> "CvatFunction":
    """Return the function; CVAT's command line calls this with what is given as ``-p NAME=TYPE:VALUE``.

    Args:
        weights: A name that `genvis models` lists, a model folder, a published .pth file, or a Hub id.
        device: auto, cpu, cuda, ...
        tracker: As in `genvis predict`, as are all that follow. None takes the model's own.
        resolution: Frames are resized so that the shorter side has this many pixels. None takes the model's.
        score_threshold: Objects with a lower score are dropped, unless CVAT asks for another threshold.
        classes: Only these classes, by name, with commas between them; empty for all.

    Raises:
        InputError: If a value is wrong.
        MissingExtraError: If cvat-sdk is not installed.
    """
    try:
        import cvat_sdk  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("cvat_sdk", "cvat") from error
    from genvis.inference.model_loading import load_model
    from genvis.inference.segmenter import VideoSegmenter

    names = [name.strip() for name in classes.split(",") if name.strip()]
    segmenter = VideoSegmenter(
        load_model(weights, device=device), tracker=tracker, resolution=resolution, classes=names or None
    )
    return CvatFunction(segmenter, score_threshold=score_threshold)


class CvatFunction:
    """Detection function that CVAT calls with the frames of one task after the other.

    A frame of another size begins a new session, whose track ids go on after those before.

    Args:
        segmenter: The model and how to run it.
        score_threshold: Objects with a lower score are dropped, unless CVAT asks for another threshold.

    Raises:
        InputError: If the threshold is out of range, or the model is an offline one.
    """

    def __init__(self, segmenter: "VideoSegmenter", *, score_threshold: float = 0.3) -> None:
        self._segmenter = segmenter
        self._threshold = score_threshold
        self._session: Session = segmenter.open_session(score_threshold=score_threshold)
        self._size: tuple[int, int] | None = None
        self._ids_before = 0

    @property
    def spec(self) -> "DetectionFunctionSpec":
        """The classes of the model, as labels of masks."""
        import cvat_sdk.auto_annotation as cvataa

        names = self._segmenter.categories.names
        kept = self._segmenter.classes
        return cvataa.DetectionFunctionSpec(
            labels=[
                cvataa.label_spec(name, number, type="mask")
                for number, name in enumerate(names)
                if kept is None or number in kept
            ]
        )

    def detect(self, context: "DetectionFunctionContext", image: "Image") -> "Sequence[LabeledShapeRequest]":
        """Return the objects of the next frame: one mask each, or its polygons, with the track id as group.

        Args:
            context: What CVAT wants: the least score, and whether masks must be polygons.
            image: The frame.
        """
        pixels = np.asarray(image.convert("RGB"))
        self._begin(pixels.shape[:2], context.conf_threshold)
        shapes: list[LabeledShapeRequest] = []
        for instance in self._session.step(pixels):
            shapes += _shapes(instance, group=self._ids_before + instance.id, as_polygons=context.conv_mask_to_poly)
        return shapes

    def _begin(self, size: tuple[int, ...], threshold: float | None) -> None:
        """Open a session where the frames change their size, or CVAT its threshold."""
        wanted = self._threshold if threshold is None else threshold
        if not 0 <= wanted <= 1:
            raise InputError(f"The score threshold is {wanted}; it must be within 0..1.")
        if self._size == size and wanted == self._threshold:
            return
        if self._session.frames_seen or wanted != self._threshold:
            self._ids_before += self._session.objects
            self._session = self._segmenter.open_session(score_threshold=wanted)
        self._threshold, self._size = wanted, (size[0], size[1])


def _shapes(instance: "Instance", *, group: int, as_polygons: bool) -> "list[LabeledShapeRequest]":
    import cvat_sdk.auto_annotation as cvataa
    from cvat_sdk.masks import encode_mask

    if not as_polygons:
        points = encode_mask(instance.mask)
        return [cvataa.mask(instance.label_id, points, group=group, score=instance.score)]
    from genvis.data.convert.cvat.outlines import mask_parts

    parts = mask_parts(instance.mask, spare=(1 - POLYGON_IOU) * instance.area)
    return [
        cvataa.polygon(instance.label_id, part.polygon().ravel().tolist(), group=group, score=instance.score)
        for part in parts
    ]
