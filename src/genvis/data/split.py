"""Split of an annotation file by video into a training set and a validation set."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from genvis.errors import InputError
from genvis.files import make_folder, read_json_object, write_json
from genvis.json_values import whole_number


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
    """A split: the training set and the validation set."""

    train: Part
    validation: Part

    @property
    def missing(self) -> list[str]:
        """Categories with tracks of which none is in the validation set: their score cannot be known."""
        validation = self.validation.tracks_of_category
        return [name for name, count in self.train.tracks_of_category.items() if count and not validation[name]]

    @property
    def untrained(self) -> list[str]:
        """Categories with tracks in the validation set, but none in the training set."""
        train = self.train.tracks_of_category
        return [name for name, count in self.validation.tracks_of_category.items() if count and not train[name]]

    def to_json(self) -> dict[str, Any]:
        """Return everything as a dictionary ready for JSON."""
        parts = {"train": self.train, "validation": self.validation}
        return {
            **{name: asdict(part) | {"path": str(part.path)} for name, part in parts.items()},
            "missing": self.missing,
            "untrained": self.untrained,
        }


def split_annotations(path: Path, *, validation: float, seed: int, output: Path | None = None) -> Split:
    """Split a YouTube-VIS or OVIS file by video, so that the parts have the categories in like shares.

    Videos that share an image file stay together. Everything else in the file, and every annotation, is copied as it
    is. The same file and seed give the same split.

    Args:
        path: The annotation file.
        validation: The share of the videos for the validation set, above 0 and below 1; at least one, not all.
        seed: Another seed, another split.
        output: The folder for the two files; None for that of ``path``.

    Returns:
        The two parts: ``<name>_train.json`` and ``<name>_validation.json``.

    Raises:
        InputError: If the file cannot be split.
    """
    if not 0 < validation < 1:
        raise InputError(f"--validation is {validation}; it is a share of the videos, above 0 and below 1.")
    content = read_json_object(path, expected="an object with 'videos', 'annotations' and 'categories'")
    videos, annotations = _lists(content, path)
    groups = _groups(videos)
    tracks_of_video: dict[int, Counter[int]] = {video["id"]: Counter() for video in videos}
    for annotation in annotations:
        tracks_of_video[annotation["video_id"]][annotation["category_id"]] += 1
    if len(groups) < 2:
        raise InputError(f"'{path}' has {len(videos)} video that can be split; at least 2 are needed.")
    wanted = min(max(1, round(validation * len(videos))), len(videos) - 1)
    chosen = choose_validation(groups, tracks_of_video, wanted=wanted, seed=seed)
    folder = path.parent if output is None else output
    make_folder(folder)
    parts = []
    for name, inside in (("train", False), ("validation", True)):
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
            if not isinstance(entry, dict) or not all(whole_number(entry.get(field)) is not None for field in fields):
                raise InputError(f"{key}[{index}] of '{path}' has no {' and '.join(fields)}; {remedy}.")
    for index, video in enumerate(content["videos"]):
        if not isinstance(video.get("file_names") or [], list):
            raise InputError(f"videos[{index}] of '{path}' has no list 'file_names'; {remedy}.")
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
    places = {video["id"]: place for place, video in enumerate(videos)}
    owner: dict[str, int] = {}
    shared = []
    for video in videos:
        for name in video.get("file_names") or ():
            first = owner.setdefault(str(name), video["id"])
            if first != video["id"]:
                shared.append((places[first], places[video["id"]]))
    rows, columns = zip(*shared, strict=True) if shared else ((), ())
    graph = coo_array((np.ones(len(shared)), (rows, columns)), shape=(len(videos), len(videos)))
    groups: dict[int, list[int]] = {}
    for video, group in zip(videos, connected_components(graph, directed=False)[1].tolist(), strict=True):
        groups.setdefault(group, []).append(video["id"])
    return list(groups.values())


def choose_validation(
    groups: Sequence[Sequence[int]], tracks_of_video: Mapping[int, Mapping[int, int]], *, wanted: int, seed: int
) -> set[int]:
    """Choose videos so that the categories' shares of tracks are as like those of the whole as possible.

    Starts from a random choice and makes the exchange of two groups that brings the tracks of each category nearest to
    its share, as long as there is one. The distance is the sum of squared differences over the share, so that scarce
    categories count as much as frequent ones. A category with tracks in several places gets at least one.

    Args:
        groups: Ids of videos that belong together.
        tracks_of_video: Number of tracks of each category, for each video.
        wanted: How many videos the validation set has.
        seed: Of the random choice.

    Returns:
        The ids of the videos of the validation set; fewer than wanted only where groups leave no other way, and at
        least one group.
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
