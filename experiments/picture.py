"""Figure 4's kind of picture: one hard clip, and what each method makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from experiments.absences import VISIBLE_PIXELS, absences_of, tracks_held
from experiments.configurations import GENVIS, MINVIS, VITA
from experiments.evaluation import SURE
from experiments.runner import Workspace
from experiments.validation_sets import validation_set
from genvis.data.samples.sample import VideoSample
from genvis.inference.segmenter import VideoSegmenter
from genvis.masks import RLEMask, encode_mask
from genvis.video.drawing.instances import DrawingStyle, draw_instances

SET = "occluded"
_COLUMNS = 7
_SCALE = 2
_GAP, _LEFT, _TOP = 4, 74, 24
_STYLE = DrawingStyle(fill=0.62, labels=False, scores=False)
_ROWS = {"MinVIS": MINVIS, "VITA": VITA, "GenVIS": GENVIS}


def draw_comparison(workspace: Workspace, *, seed: int, folder: Path) -> Path:
    """Draw frames of one video in columns; truth, MinVIS, VITA and GenVIS in rows.

    The video is the one of the set whose objects are most often invisible and back; no method influences that choice.
    A track has the colour of the object that it followed first, so that a change of colour is an id switch;
    a second track of the same object has a colour of its own. Where several tracks claim an object, the one of
    the highest score is drawn, as `genvis predict` does.

    Args:
        workspace: With the trained models.
        seed: Of the models.
        folder: Where the picture goes.

    Returns:
        The picture's file.
    """
    samples = validation_set(SET).load()
    sample = max((samples[index] for index in range(len(samples))), key=_absences)
    columns = np.linspace(0, len(sample.frames) - 1, _COLUMNS).round().astype(int).tolist()
    truth = [[encode_mask(mask) for mask in masks] for masks in sample.masks.numpy()]
    rows: dict[str, tuple[Masks, list[int]]] = {"truth": (truth, list(range(1, len(truth) + 1)))}
    for title, configuration in _ROWS.items():
        model, _ = workspace.model_of(configuration, seed)
        segmenter = VideoSegmenter(model, tracker=configuration.tracker)
        result = segmenter.segment(_frames(sample), score_threshold=SURE)
        found: Masks = [track.masks for track in result.tracks]
        rows[title] = (found, _colours(truth, found, length=len(sample.frames)))
    picture = _grid(_frames(sample), rows, columns)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "reproduction_figure4.png"
    picture.save(path, optimize=True)
    return path


Masks = Sequence[Sequence[RLEMask | None]]


def _absences(sample: VideoSample) -> int:
    seen = sample.masks.flatten(2).sum(dim=-1).numpy() >= VISIBLE_PIXELS
    return sum(absence.stop - absence.start >= 5 for flags in seen for absence in absences_of(flags))


def _colours(truth: Masks, found: Masks, *, length: int) -> list[int]:
    """Return for every track found the number that gives it the colour of the object that it followed first."""
    held = tracks_held(_coco(truth), _coco(found), length=length)
    colours: dict[int, int] = {}
    taken: set[int] = set()
    for frame in range(length):
        for thing, track in enumerate(held[:, frame].tolist()):
            if track >= 0 and track not in colours:
                colours[track] = thing + 1 if thing not in taken else 0
                taken.add(thing)
    others = iter(range(len(truth) + 1, len(truth) + len(found) + 1))
    return [colours.get(track) or next(others) for track in range(len(found))]


def _coco(tracks: Masks) -> list[list[dict[str, Any] | None]]:
    return [[None if mask is None else mask.to_coco() for mask in masks] for masks in tracks]


def _frames(sample: VideoSample) -> NDArray[np.uint8]:
    frames: NDArray[np.uint8] = sample.frames.permute(0, 2, 3, 1).contiguous().numpy()
    return frames


def _grid(frames: NDArray[np.uint8], rows: dict[str, tuple[Masks, list[int]]], columns: Sequence[int]) -> Image.Image:
    height, width = (_SCALE * side for side in frames.shape[1:3])
    size = (_LEFT + len(columns) * (width + _GAP), _TOP + len(rows) * (height + _GAP))
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=16)
    for place, frame in enumerate(columns):
        pen.text((_LEFT + place * (width + _GAP) + width / 2, 4), f"frame {frame + 1}", "black", font, anchor="ma")
    for row, (title, (masks, colours)) in enumerate(rows.items()):
        top = _TOP + row * (height + _GAP)
        pen.text((6, top + height / 2), title, "black", font, anchor="lm")
        for place, frame in enumerate(columns):
            drawn = _drawn(frames[frame], [track[frame] for track in masks], colours, size=(width, height))
            picture.paste(drawn, (_LEFT + place * (width + _GAP), top))
    return picture


def _drawn(
    frame: NDArray[np.uint8], masks: Sequence[RLEMask | None], colours: Sequence[int], *, size: tuple[int, int]
) -> Image.Image:
    there = [(mask, colour) for mask, colour in zip(masks, colours, strict=True) if mask is not None]
    large = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
    scaled = [
        np.asarray(Image.fromarray(mask.decode().astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0
        for mask, _ in there
    ]
    return Image.fromarray(draw_instances(large, masks=scaled, ids=[colour for _, colour in there], style=_STYLE))
