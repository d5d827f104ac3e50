"""Results in FiftyOne: a video sample whose frames have detections with masks and track ids."""

from pathlib import Path
from typing import TYPE_CHECKING

from genvis.errors import InputError, MissingExtraError
from genvis.files import require_file
from genvis.results.types import Instance, VideoResult

if TYPE_CHECKING:
    import fiftyone


def fiftyone_sample(result: VideoResult, video: str | Path) -> "fiftyone.Sample":
    """Return a result as a sample of FiftyOne, to be added to a data set of videos.

    The field ``objects`` of each frame holds detections: label, box in shares of the frame, mask within the box,
    confidence, and the track id as ``index``. FiftyOne counts frames from 1.

    Args:
        result: The result.
        video: The video file that was segmented.

    Raises:
        MissingExtraError: If fiftyone is not installed.
        InputError: If there is no such file.
    """
    try:
        import fiftyone
    except ModuleNotFoundError as error:
        raise MissingExtraError("fiftyone", "fiftyone") from error
    sample = fiftyone.Sample(filepath=str(require_file(video).resolve()))
    for frame in result:
        detections = [_detection(instance, height=frame.height, width=frame.width) for instance in frame]
        sample.frames[frame.stamp.index + 1] = fiftyone.Frame(objects=fiftyone.Detections(detections=detections))
    return sample


def view_in_fiftyone(result: VideoResult, video: str | Path, *, name: str | None = None) -> "fiftyone.Session":
    """Open FiftyOne's application with a data set of one result.

    Args:
        result: The result.
        video: The video file that was segmented.
        name: Of the data set, which is kept; None makes one that is not.

    Returns:
        The session; ``session.wait()`` waits until the application is closed.

    Raises:
        MissingExtraError: If fiftyone is not installed.
        InputError: If there is no such file, or a data set of that name.
    """
    sample = fiftyone_sample(result, video)
    import fiftyone

    if name is not None and fiftyone.dataset_exists(name):
        raise InputError(f"FiftyOne has a data set '{name}' already: give another name.")
    dataset = fiftyone.Dataset(name, persistent=name is not None)
    dataset.add_sample(sample)
    return fiftyone.launch_app(dataset)


def _detection(instance: Instance, *, height: int, width: int) -> "fiftyone.Detection":
    import fiftyone

    left, top, right, bottom = instance.box
    return fiftyone.Detection(
        label=instance.label,
        bounding_box=[left / width, top / height, (right - left) / width, (bottom - top) / height],
        mask=instance.mask[top:bottom, left:right],
        confidence=instance.score,
        index=instance.id,
    )
