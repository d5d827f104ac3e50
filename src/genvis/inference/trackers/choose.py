"""Choice of the tracker: the one place that asks which kind of model is at hand."""

from typing import TYPE_CHECKING, Any, Literal, get_args

from genvis.errors import InputError
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions

if TYPE_CHECKING:
    from genvis.checkpoints.load import Model
    from genvis.inference.trackers.video_tracker import SlotTracker, VideoTracker
    from genvis.model.detector.base import FrameDetector
    from genvis.model.genvis import GenVIS
    from genvis.model.tracker.query_tracker import QueryTracker
    from genvis.model.tracker.videomt import VidEoMT
    from genvis.runtimes.cuda_graphs import CudaGraphs
    from genvis.runtimes.exported_model import ExportedGenVIS
    from genvis.runtimes.graphed_networks import GraphedVidEoMT

TrackerName = Literal["propagation", "offline", "memory", "queries", "clip_queries"]
"""``propagation``: queries carried from clip to clip (GenVIS, VidEoMT). ``offline``: the whole video at once (VITA).
``memory``: detections matched with a memory of every track, no training. ``queries``: frame queries matched from frame
to frame (MinVIS), no training. ``clip_queries``: matched instance queries of clips, the paper's Table 4."""

TRACKER_NAMES: tuple[TrackerName, ...] = get_args(TrackerName)


def default_tracker(model: "Model") -> TrackerName:
    """Return the method that a model was trained for; memory matching for one that is a detector alone."""
    from genvis.model.tracker.videomt import VidEoMT
    from genvis.runtimes.exported_model import ExportedVidEoMT

    if isinstance(model, VidEoMT | ExportedVidEoMT):
        return "propagation"
    if model.tracker is None:
        return "memory"
    return "offline" if model.config.method == "vita" else "propagation"


def make_tracker(
    model: "Model",
    name: TrackerName,
    *,
    memory_clips: int | None = None,
    frames_at_once: int = 1,
    matching: MemoryMatchingOptions | None = None,
    occupancy_weighted: bool = False,
    archive: ArchiveOptions | None = None,
    graphs: "CudaGraphs | None" = None,
) -> "VideoTracker":
    """Return the tracker of a model.

    Args:
        model: In evaluation mode.
        name: Which method follows the objects.
        memory_clips: How many past clips the memory of ``propagation`` keeps; None takes the model's number.
        frames_at_once: Frames of a clip that ``offline`` delivers.
        matching: Options of ``memory``; None takes the defaults.
        occupancy_weighted: Let ``propagation`` renew a query only as far as it holds an object.
        archive: Of the tracks that left, for ``propagation`` and ``memory``; None keeps none.
        graphs: From which networks of PyTorch are run where they can be; None runs them as they are.

    Raises:
        InputError: If there is no such method, or the model has no network for it.
    """
    from genvis.inference.trackers.memory_matching import MemoryMatching
    from genvis.inference.trackers.offline import OfflineTracking
    from genvis.inference.trackers.propagation import QueryPropagation, VidEoMTPropagation
    from genvis.inference.trackers.query_matching import ClipMatching, QueryMatching
    from genvis.model.tracker.tracker import Tracker
    from genvis.model.tracker.videomt import VidEoMT
    from genvis.runtimes.exported_model import ExportedVidEoMT

    if name not in TRACKER_NAMES:
        raise InputError(f"There is no tracker '{name}'; choose from {', '.join(TRACKER_NAMES)}.")
    if isinstance(model, VidEoMT | ExportedVidEoMT):
        if name != "propagation":
            raise InputError(f"A VidEoMT model tracks by itself: it knows 'propagation', not '{name}'.")
        network: Any = model.network if isinstance(model, ExportedVidEoMT) else _videomt(model, graphs)
        return _with_archive(VidEoMTPropagation(network, occupancy_weighted=occupancy_weighted), archive)
    detector, tracker = _genvis(model, graphs)
    if name == "memory":
        return MemoryMatching(detector, matching, archive=archive)
    if name not in ("propagation", "offline") and not model.config.detector_shares_categories:
        raise InputError(
            f"'{name}' needs a detector of the model's categories, but its detector knows others: choose 'propagation'."
        )
    if name == "queries":
        return QueryMatching(detector)
    if tracker is None:
        raise InputError(f"The model is a detector alone, but '{name}' needs a trained tracker: choose 'memory'.")
    if name == "propagation":
        propagation = QueryPropagation(
            detector,
            tracker,
            memory_clips=memory_clips,
            occupancy_weighted=occupancy_weighted,
            no_object_weight=model.config.no_object_weight,
            looks="queries" if archive is None else archive.looks,
        )
        return _with_archive(propagation, archive)
    if name == "offline":
        # Run as it is: it decodes a video once, after the last frame.
        if not isinstance(model.tracker, Tracker):
            raise InputError("An exported tracker sees one clip, not a whole video: choose 'propagation'.")
        return OfflineTracking(
            detector,
            model.tracker,
            frames_at_once=frames_at_once,
            no_object_weight=model.config.no_object_weight,
        )
    return ClipMatching(detector, tracker, no_object_weight=model.config.no_object_weight)


def _videomt(model: "VidEoMT", graphs: "CudaGraphs | None") -> "VidEoMT | GraphedVidEoMT":
    from genvis.runtimes.graphed_networks import GraphedVidEoMT

    return model if graphs is None else GraphedVidEoMT(model, graphs)


def _genvis(
    model: "GenVIS | ExportedGenVIS", graphs: "CudaGraphs | None"
) -> "tuple[FrameDetector, QueryTracker | None]":
    """Return detector and tracker, from graphs where they are networks of PyTorch."""
    from genvis.model.genvis import GenVIS
    from genvis.runtimes.graphed_networks import GraphedDetector, GraphedTracker

    if graphs is None or not isinstance(model, GenVIS):
        return model.detector, model.tracker
    tracker = None if model.tracker is None else GraphedTracker(model.tracker, graphs)
    detector = model.detector
    return GraphedDetector(detector, graphs) if detector.depends_on_input_alone else detector, tracker


def _with_archive(tracker: "SlotTracker", archive: ArchiveOptions | None) -> "VideoTracker":
    from genvis.inference.trackers.slot_archive import ArchivedSlots

    return tracker if archive is None else ArchivedSlots(tracker, archive)
