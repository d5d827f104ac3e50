"""Run of a model over all videos of an annotation file: results that can be scored or sent to a server.

Every finished video is a file of its own, so that an interrupted run continues.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.categories import Categories
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.samples.frames import image_path, read_frame
from genvis.errors import InputError
from genvis.evaluation.results_file import load_results, read_entries
from genvis.files import make_folder, write_json
from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, claim, files_stamp, value_stamp
from genvis.inference.segmenter import VideoSegmenter

RESULTS_FILE, VIDEOS_FOLDER = "results.json", "videos"

_REMEDY = "name another folder with -o, or remove this one"


def common_categories(model: Categories, data: Categories, *, file: Path) -> dict[str, int]:
    """Return the category ids in the data of the categories that a model shares with them, by the model's names.

    Names are compared without regard to case, spaces and underscores.

    Raises:
        InputError: If they share none.
    """
    ids = {_plain(label): number for label, number in zip(data.names, data.ids, strict=True)}
    common = {label: ids[_plain(label)] for label in model.names if _plain(label) in ids}
    if not common:
        raise InputError(
            f"The model and {file} have no category in common: the model has {', '.join(model.names[:5])} ..., "
            f"the file {', '.join(data.names[:5])} ..."
        )
    return common


Finished = Callable[[Sequence[int]], Iterator[int]]
"""Does the videos at some positions, by `segment_video`, and delivers the position of each when it is finished."""


def run_model(
    segmenter: VideoSegmenter,
    annotations: VideoAnnotations,
    *,
    images: Path,
    folder: Path,
    detections: int | None = None,
    on_video: Callable[[int, int], None],
    engine: Finished | None = None,
) -> Path:
    """Segment all videos with the published scores and selection.

    Args:
        segmenter: The model and how to run it; its classes should be those of `common_categories`.
        annotations: The videos; their objects are not looked at.
        images: The folder that the file names start from.
        folder: Where the results go: one file per video in ``videos/``, and all of them in ``results.json``. Videos
            that are there already are not run again. ``fingerprint.json`` records what the results belong to.
        detections: Pairs of track and class per video; None takes the model's number.
        on_video: Called with the number of videos done, and of all.
        engine: What does the videos, such as other processes; None does them here, one after another.

    Returns:
        The results file, in the format of YouTube-VIS with the category ids of the annotations.

    Raises:
        InputError: If an image is missing; if the folder holds results of other weights, annotations, images or
            settings; or if another process works in it.
        OutputError: If a file cannot be written.
    """
    common_categories(segmenter.categories, annotations.categories, file=annotations.path)

    def here(indices: Sequence[int]) -> Iterator[int]:
        for index in indices:
            segment_video(segmenter, annotations, index, images=images, folder=folder, detections=detections)
            yield index

    total = len(annotations)
    with claim(folder):
        make_folder(folder / VIDEOS_FOLDER)
        _bind(folder, segmenter, annotations, images=images, detections=detections)
        open_videos = [index for index in range(total) if not _video_file(folder, annotations, index).exists()]
        done = total - len(open_videos)
        if done:
            on_video(done, total)
        for _ in (engine or here)(open_videos):
            done += 1
            on_video(done, total)
        entries = [
            entry
            for index in range(total)
            for entry in _read_video(_video_file(folder, annotations, index), annotations, index)
        ]
        results = folder / RESULTS_FILE
        write_json(results, entries)
    return results


def segment_video(
    segmenter: VideoSegmenter,
    annotations: VideoAnnotations,
    index: int,
    *,
    images: Path,
    folder: Path,
    detections: int | None = None,
) -> None:
    """Segment one video and write its file, unless that is there; see `run_model`.

    Raises:
        InputError: If an image is missing.
        OutputError: If the file cannot be written.
    """
    path = _video_file(folder, annotations, index)
    if path.exists():
        return
    category_ids = common_categories(segmenter.categories, annotations.categories, file=annotations.path)
    result = segmenter.segment(_frames(annotations, index, images), detections=detections, overlaps="keep")
    names = {track.category_id: track.label for track in result.tracks}
    found = [
        {**entry, "category_id": category_ids[names[entry["category_id"]]]}
        for entry in result.to_youtube_vis(annotations.video(index).id)
        if names[entry["category_id"]] in category_ids
    ]
    write_json(path, found)


def _video_file(folder: Path, annotations: VideoAnnotations, index: int) -> Path:
    return folder / VIDEOS_FOLDER / f"{annotations.video(index).id}.json"


def _frames(annotations: VideoAnnotations, index: int, images: Path) -> Iterator[NDArray[np.uint8]]:
    video = annotations.video(index)
    for path in _paths(annotations, index, images):
        yield read_frame(path, height=video.height, width=video.width)


def _paths(annotations: VideoAnnotations, index: int, images: Path) -> list[Path]:
    names = annotations.video(index).file_names
    return [image_path(images, name, named_by=annotations.path) for name in names]


def _bind(
    folder: Path, segmenter: VideoSegmenter, annotations: VideoAnnotations, *, images: Path, detections: int | None
) -> None:
    """Write down what the results belong to, or make sure that those in the folder belong to the same."""
    frames = [path for index in range(len(annotations)) for path in _paths(annotations, index, images)]
    fingerprint = Fingerprint(
        "evaluation",
        weights=segmenter.weights,
        annotations=value_stamp(annotations, name=str(annotations.path)),
        images=files_stamp(frames, name=str(images)),
        settings={**segmenter.settings(), "classes": segmenter.classes, "detections": detections},
    )
    record = folder / FINGERPRINT_FILE
    if not record.exists() and any((folder / VIDEOS_FOLDER).iterdir()):
        raise InputError(
            f"'{folder}' holds results without {FINGERPRINT_FILE}, which says what they belong to: {_REMEDY}."
        )
    fingerprint.bind(record, remedy=_REMEDY)


def _read_video(path: Path, annotations: VideoAnnotations, index: int) -> list[dict[str, Any]]:
    """Read the results of a finished video."""
    found = read_entries(path)
    if len(load_results(found, annotations, name=str(path)).detections[index]) < len(found):
        raise InputError(f"'{path}' holds results of another video: remove it, and the video is segmented again.")
    return found


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ").strip()


def chosen_classes(common: dict[str, int], model: Categories) -> Sequence[str] | None:
    """Return the classes to look for: the common ones, or None if they are all that the model knows."""
    return None if len(common) == len(model) else tuple(common)
