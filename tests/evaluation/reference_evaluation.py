"""The YouTube-VIS evaluation written down as plainly as possible: loops, and masks of pixels. Slow, for tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"all": (0, 1e10), "small": (0, 128**2), "medium": (128**2, 256**2), "large": (256**2, 1e10)}
OCCLUSIONS = {"slightly": (-1, 0.25), "moderately": (0.25, 0.5), "heavily": (0.5, 1)}
HIDDEN = {"no_occlusion": 0.0, "slight_occlusion": 0.25, "severe_occlusion": 0.75}

Track = dict[str, Any]
TrackIoU = Callable[[list[Any], list[Any]], float]


def dense_iou(first: list[Any], second: list[Any]) -> float:
    """IoU of two tracks, counted pixel by pixel."""
    common = union = 0
    for one, other in zip(first, second, strict=True):
        masks = [coco_mask.decode(mask).astype(bool) if mask else np.zeros(1, bool) for mask in (one, other)]
        common += int((masks[0] & masks[1]).sum())
        union += int((masks[0] | masks[1]).sum())
    return common / union if union else 0.0


def area(track: Track) -> float:
    areas = [int(coco_mask.area(mask)) for mask in track["segmentations"] if mask]
    areas = [pixels for pixels in areas if pixels]
    return float(np.mean(areas)) if areas else 0.0


def occlusion(track: Track) -> float | None:
    levels = [
        HIDDEN[level]
        for level, mask in zip(track.get("occlusion") or [], track["segmentations"], strict=False)
        if level in HIDDEN and mask and coco_mask.area(mask)
    ]
    return float(np.mean(levels)) if levels else None


def match(detections: list[Track], objects: list[Track], ignored: list[bool], iou: Any, threshold: float) -> list[int]:
    """Return for each detection the place of its object, or -1."""
    order = sorted(range(len(objects)), key=lambda place: ignored[place])
    taken: set[int] = set()
    found = []
    for row in range(len(detections)):
        best, chosen = threshold, -1
        for place in order:
            if place in taken and not objects[place].get("iscrowd"):
                continue
            if chosen >= 0 and not ignored[chosen] and ignored[place]:
                break
            if iou[row][place] >= best:
                best, chosen = iou[row][place], place
        if chosen >= 0:
            taken.add(chosen)
        found.append(chosen)
    return found


def curve(right: list[bool], objects: int) -> float:
    """Average precision of right and wrong detections, best score first."""
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / objects, RECALLS, side="left")
    return float(np.mean([best_from_here[place] if place < len(hits) else 0 for place in places]))


def score_class(
    videos: list[tuple[list[Track], list[Track]]],
    inside: Callable[[Track], bool],
    outside: Callable[[Track], bool],
    track_iou: TrackIoU,
) -> tuple[list[float], dict[int, list[float]]] | None:
    """Return average precision per threshold, and recall per limit and threshold; None without objects."""
    prepared = []
    for detections, objects in videos:
        ranked = sorted(detections, key=lambda track: -track["score"])[:100]
        iou = [[track_iou(one["segmentations"], other["segmentations"]) for other in objects] for one in ranked]
        ignored = [bool(track.get("iscrowd")) or not inside(track) for track in objects]
        prepared.append((ranked, objects, ignored, iou))
    count = sum(ignored.count(False) for _, _, ignored, _ in prepared)
    if not count:
        return None
    precision, recall = [], {1: [], 10: [], 100: []}
    for threshold in THRESHOLDS:
        outcomes = []
        for ranked, objects, ignored, iou in prepared:
            for rank, place in enumerate(match(ranked, objects, ignored, iou, threshold)):
                skipped = ignored[place] if place >= 0 else outside(ranked[rank])
                if not skipped:
                    outcomes.append((ranked[rank]["score"], place >= 0, rank))
        outcomes.sort(key=lambda outcome: -outcome[0])
        precision.append(curve([right for _, right, _ in outcomes], count))
        for limit, values in recall.items():
            values.append(sum(right and rank < limit for _, right, rank in outcomes) / count)
    return precision, recall


def reference_evaluation(
    annotations: dict[str, Any], results: list[Track], track_iou: TrackIoU = dense_iou
) -> dict[str, float | None]:
    """Return the official names of the metrics, and "AP of <category id>" for each category."""
    videos = sorted(video["id"] for video in annotations["videos"])
    categories = sorted(category["id"] for category in annotations["categories"])
    known: dict[tuple[int, int], float] = {}
    grouped: dict[tuple[int, int], tuple[list[Track], list[Track]]] = {}
    for place, tracks in enumerate((results, annotations["annotations"])):
        for track in tracks:
            grouped.setdefault((track["video_id"], track["category_id"]), ([], []))[place].append(track)

    def cached_iou(first: list[Any], second: list[Any]) -> float:
        key = (id(first), id(second))
        if key not in known:
            known[key] = track_iou(first, second)
        return known[key]

    def scores(inside: Callable[[Track], bool], outside: Callable[[Track], bool]) -> dict[int, Any]:
        return {
            category: score_class(
                [grouped[video, category] for video in videos if (video, category) in grouped],
                inside,
                outside,
                cached_iou,
            )
            for category in categories
        }

    areas = {id(track): area(track) for track in [*results, *annotations["annotations"]]}
    occlusions = {id(track): occlusion(track) for track in annotations["annotations"]}

    def within(track: Track, name: str) -> bool:
        return AREAS[name][0] <= areas[id(track)] <= AREAS[name][1]

    def hidden(track: Track, name: str) -> bool:
        score = occlusions[id(track)]
        return score is not None and OCCLUSIONS[name][0] < score <= OCCLUSIONS[name][1]

    def mean(values: list[Any]) -> float | None:
        flat = np.array([value for value in values if value is not None]).ravel()
        return float(flat.mean()) if flat.size else None

    sizes = {
        name: scores(lambda track, name=name: within(track, name), lambda track, name=name: not within(track, name))
        for name in AREAS
    }
    everything = sizes["all"]
    metrics = {
        "ap": mean([score and score[0] for score in everything.values()]),
        "ap50": mean([score and score[0][0] for score in everything.values()]),
        "ap75": mean([score and score[0][5] for score in everything.values()]),
        **{f"ap_{name}": mean([score and score[0] for score in sizes[name].values()]) for name in list(AREAS)[1:]},
        **{f"ar{limit}": mean([score and score[1][limit] for score in everything.values()]) for limit in (1, 10, 100)},
        **{f"ar_{name}": mean([score and score[1][100] for score in sizes[name].values()]) for name in list(AREAS)[1:]},
    }
    for name in OCCLUSIONS:
        level = scores(lambda track, name=name: hidden(track, name), lambda _: False)
        metrics[f"ap_{name}_occluded"] = mean([score and score[0] for score in level.values()])
    for category, score in everything.items():
        metrics[f"AP of {category}"] = mean([score and score[0]])
    return metrics
