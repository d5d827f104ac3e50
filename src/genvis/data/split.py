"""Splitting an annotation file by video into a part to train on and a held-out part to score on."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.errors import InputError
from genvis.files import make_folder, read_json_object, write_json


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Attributes:
        path: The file that was written.
        videos: Number of videos.
        frames: Number of frames.
        tracks_of_category: Number of tracks for each category name, in the order of the file.
    """

    path: Path
    videos: int
    frames: int
    tracks_of_category: dict[str, int]


@dataclass(frozen=True)
class Split:
    """A split: the part to train on, and the one held out."""

    train: Part
    held_out: Part

    @property
    def missing(self) -> list[str]:
        """Categories with tracks of which none is held out: their score cannot be known."""
        held_out = self.held_out.tracks_of_category
        return [name for name, count in self.train.tracks_of_category.items() if count and not held_out[name]]

    @property
    def untrained(self) -> list[str]:
        """Categories of which tracks are held out, but none is left to train on."""
        train = self.train.tracks_of_category
        return [name for name, count in self.held_out.tracks_of_category.items() if count and not train[name]]


def split_annotations(path: Path, *, held_out: float, seed: int, output: Path | None = None) -> Split:
    """Split a YouTube-VIS or OVIS file by video, so that the parts have the categories in like shares.

    Videos that share an image file stay together. Everything else in the file, and every annotation, is copied as it
    is. The same file and seed give the same split.

    Args:
        path: The annotation file.
        held_out: The share of the videos to hold out, above 0 and below 1; at least one video, and not all.
        seed: Another seed, another split.
        output: The folder for the two files; None for that of ``path``.

    Returns:
        The two parts: ``<name>_train.json`` and ``<name>_held_out.json``.

    Raises:
        InputError: If the file cannot be split.
    """
    if not 0 < held_out < 1:
        raise InputError(f"--held-out is {held_out}; it is a share of the videos, above 0 and below 1.")
    content = read_json_object(path, expected="an object with 'videos', 'annotations' and 'categories'")
    videos, annotations = _lists(content, path)
    groups = _groups(videos)
    tracks_of_video: dict[int, Counter[int]] = {video["id"]: Counter() for video in videos}
    for annotation in annotations:
        tracks_of_video[annotation["video_id"]][annotation["category_id"]] += 1
    if len(groups) < 2:
        raise InputError(f"'{path}' has {len(videos)} video that can be held out; at least 2 are needed.")
    wanted = min(max(1, round(held_out * len(videos))), len(videos) - 1)
    chosen = choose_held_out(groups, tracks_of_video, wanted=wanted, seed=seed)
    folder = path.parent if output is None else output
    make_folder(folder)
    parts = []
    for name, inside in (("train", False), ("held_out", True)):
        kept = {video["id"] for video in videos if (video["id"] in chosen) is inside}
        part = content | {
            "videos": [video for video in videos if video["id"] in kept],
            "annotations": [annotation for annotation in annotations if annotation["video_id"] in kept],
        }
        target = folder / f"{path.stem}_{name}.json"
        write_json(target, part)
        parts.append(_part(target, part))
    return Split(*parts)


def _lists(content: Mapping[str, Any], path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return videos and annotations, of which everything that a split needs is there."""
    if "videos" not in content and "images" in content:
        raise InputError(f"'{path}' is a COCO file; `genvis data convert from-coco` makes a video file of it first.")
    remedy = "`genvis data check` lists everything that is wrong"
    for key, fields in (("videos", ("id",)), ("annotations", ("video_id", "category_id")), ("categories", ("id",))):
        entries = content.get(key)
        if not isinstance(entries, list):
            raise InputError(f"'{path}' has no list '{key}'; {remedy}.")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict) or not all(isinstance(entry.get(field), int) for field in fields):
                raise InputError(f"{key}[{index}] of '{path}' has no {' and '.join(fields)}; {remedy}.")
    known = Counter(video["id"] for video in content["videos"])
    repeated = [identifier for identifier, count in known.items() if count > 1]
    if repeated:
        raise InputError(f"'{path}' has the video {repeated[0]} twice; {remedy}.")
    strangers = [entry for entry in content["annotations"] if entry["video_id"] not in known]
    if strangers:
        raise InputError(f"'{path}' has no video {strangers[0]['video_id']}, of which it has annotations; {remedy}.")
    return content["videos"], content["annotations"]


def _groups(videos: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the ids of videos, those together that share an image file."""
    group_of: dict[int, list[int]] = {}
    owner: dict[str, int] = {}
    for video in videos:
        identifier = video["id"]
        group_of[identifier] = [identifier]
        for name in video.get("file_names") or ():
            other = owner.setdefault(str(name), identifier)
            if group_of[other] is not group_of[identifier]:
                merged = group_of[other] + group_of[identifier]
                for member in merged:
                    group_of[member] = merged
    return list({id(group): group for group in group_of.values()}.values())


def choose_held_out(
    groups: Sequence[Sequence[int]], tracks_of_video: Mapping[int, Mapping[int, int]], *, wanted: int, seed: int
) -> set[int]:
    """Choose videos so that the categories' shares of tracks are as like those of the whole as possible.

    Starts from a random choice and makes the exchange of two groups that brings the tracks of each category nearest to
    its share, as long as there is one. The distance is the sum of squared differences over the share, so that scarce
    categories count as much as frequent ones. A category with tracks in several places gets at least one.

    Args:
        groups: Ids of videos that belong together.
        tracks_of_video: Number of tracks of each category, for each video.
        wanted: How many videos to hold out.
        seed: Of the random choice.

    Returns:
        The ids of the videos to hold out; fewer than wanted only where groups leave no other way, and at least one
        group.
    """
    order = list(groups)
    random.Random(seed).shuffle(order)
    sizes = np.array([len(group) for group in order])
    held = np.zeros(len(order), bool)
    for index in np.argsort(-sizes, kind="stable"):  # large groups first, while there is room for them
        held[index] = sizes[held].sum() + sizes[index] <= wanted
    if not held.any():
        held[np.argmin(sizes)] = True
    counts = _tracks_of_groups(order, tracks_of_video)
    if counts.shape[1]:
        _exchange(held, counts, sizes, share=sizes[held].sum() / sizes.sum())
    return {video for index in np.flatnonzero(held) for video in order[index]}


def _tracks_of_groups(
    groups: Sequence[Sequence[int]], tracks_of_video: Mapping[int, Mapping[int, int]]
) -> NDArray[np.float64]:
    """Return (G, K) float64: the number of tracks of each category in each group."""
    categories = sorted({category for tracks in tracks_of_video.values() for category in tracks})
    column = {category: index for index, category in enumerate(categories)}
    counts = np.zeros((len(groups), len(categories)))
    for row, group in enumerate(groups):
        for video in group:
            for category, number in tracks_of_video[video].items():
                counts[row, column[category]] += number
    return counts


def _exchange(held: NDArray[np.bool_], counts: NDArray[np.float64], sizes: NDArray[np.int64], *, share: float) -> None:
    """Exchange groups of equal size, in place, as long as that reduces the distance to the target."""
    places = (counts > 0).sum(axis=0)
    target = np.maximum(counts.sum(axis=0) * share, np.where(places > 1, 1.0, 1e-3))
    weighted = counts / target
    squares = (counts * weighted).sum(axis=1)
    for _ in range(10 * len(held)):
        # Giving out group i for group j changes the sum of (held - target)^2 / target by this much.
        inside, outside = np.flatnonzero(held), np.flatnonzero(~held)
        slope = 2 * weighted @ (counts[held].sum(axis=0) - target)
        change = (slope + squares)[outside][None, :] + (squares - slope)[inside][:, None]
        change -= 2 * counts[inside] @ weighted[outside].T
        change[sizes[inside][:, None] != sizes[outside][None, :]] = np.inf
        best = np.unravel_index(np.argmin(change), change.shape)
        if change[best] > -1e-9:
            return
        held[inside[best[0]]], held[outside[best[1]]] = False, True


def _part(path: Path, content: Mapping[str, Any]) -> Part:
    counts = Counter(annotation["category_id"] for annotation in content["annotations"])
    names = {entry["id"]: str(entry.get("name", entry["id"])) for entry in content["categories"]}
    return Part(
        path=path,
        videos=len(content["videos"]),
        frames=sum(len(video.get("file_names") or ()) for video in content["videos"]),
        tracks_of_category={name: counts[identifier] for identifier, name in names.items()},
    )
