"""Run a model over all videos of an annotation file: results that can be scored or sent to a server.

Every finished video is a file of its own, so that an interrupted run continues, and several processes can share a
folder.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.categories import Categories
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.samples.frames import image_path, read_image
from genvis.errors import InputError
from genvis.files import make_folder, write_json
from genvis.inference.segmenter import VideoSegmenter

RESULTS_FILE, VIDEOS_FOLDER, MODEL_FILE = "results.json", "videos", "model.json"


def common_classes(model: Categories, data: Categories, *, file: Path) -> dict[str, int]:
    """Return the category id in the data of every class of a model that the data know too, by the model's name.

    Names are compared without regard to case, spaces and underscores.

    Raises:
        InputError: If they have no class in common.
    """
    ids = {_plain(label): number for label, number in zip(data.names, data.ids, strict=True)}
    common = {label: ids[_plain(label)] for label in model.names if _plain(label) in ids}
    if not common:
        raise InputError(
            f"The model and {file} have no class in common: the model knows {', '.join(model.names[:5])} ..., "
            f"the file {', '.join(data.names[:5])} ..."
        )
    return common


def run_model(
    segmenter: VideoSegmenter,
    annotations: VideoAnnotations,
    *,
    images: Path,
    folder: Path,
    detections: int | None = None,
    on_video: Callable[[int, int], None],
) -> Path:
    """Segment all videos with the published scores and selection.

    Args:
        segmenter: The model and how to run it; its classes should be those of `common_classes`.
        annotations: The videos; their objects are not looked at.
        images: The folder that the file names start from.
        folder: Where the results go: one file per video in ``videos/``, and all of them in ``results.json``. Videos
            that are there already are not run again.
        detections: Pairs of identity and class per video; None takes the model's number.
        on_video: Called with the number of videos done, and of all.

    Returns:
        The results file, in the format of YouTube-VIS with the category ids of the annotations.

    Raises:
        InputError: If an image is missing, or the folder holds results of another model or other settings.
    """
    done_folder = make_folder(folder / VIDEOS_FOLDER)
    _claim(folder, segmenter, detections)
    category_ids = common_classes(segmenter.labels, annotations.categories, file=annotations.path)
    entries: list[dict[str, Any]] = []
    for index in range(len(annotations)):
        video = annotations.video(index)
        path = done_folder / f"{video.id}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
        else:
            frames = _frames(annotations, index, images)
            result = segmenter.segment(frames, detections=detections)
            names = {track.category_id: track.label for track in result.tracks}
            found = [
                {**entry, "category_id": category_ids[names[entry["category_id"]]]}
                for entry in result.to_youtube_vis(video.id)
                if names[entry["category_id"]] in category_ids
            ]
            write_json(path, found)
        entries += found
        on_video(index + 1, len(annotations))
    results = folder / RESULTS_FILE
    write_json(results, entries)
    return results


def _frames(annotations: VideoAnnotations, index: int, images: Path) -> Iterator[NDArray[np.uint8]]:
    video = annotations.video(index)
    for name in video.file_names:
        path = image_path(images, name, named_by=annotations.path)
        yield read_image(path, height=video.height, width=video.width)


def _claim(folder: Path, segmenter: VideoSegmenter, detections: int | None) -> None:
    """Write down whose results these are, or make sure that they are this model's."""
    about = {"model": segmenter.setup.fingerprint, "detections": detections, **segmenter.setup.settings()}
    about["classes"] = None if segmenter.setup.classes is None else list(segmenter.setup.classes)
    path = folder / MODEL_FILE
    if not path.exists():
        write_json(path, about)
        return
    if json.loads(path.read_text(encoding="utf-8")) != about:
        raise InputError(f"{folder} holds results of another model or of other settings: choose another folder.")


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ").strip()


def chosen_classes(common: dict[str, int], model: Categories) -> Sequence[str] | None:
    """Return the classes to look for: the common ones, or None if they are all that the model knows."""
    return None if len(common) == len(model) else tuple(common)
