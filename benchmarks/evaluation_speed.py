"""How much faster is the evaluation than comparing every pair of tracks frame by frame?

    python benchmarks/evaluation_speed.py [--videos 140] [--rounds 3] [--absent 0.3] [--mixed 0.3]

Makes annotations and results at the scale of OVIS' validation set: 140 videos of 60 frames of 720x1280 pixels, 10
objects a video of one class (herds, flocks, shoals), and 20 detections a video: good ones, poor ones, duplicates,
fragments, id switches, background, wrong categories. Then the straightforward evaluation (for every pair of one
class, two merges and two areas of RLE per frame), ours in one process and ours with all processors take turns.
All start from what is in memory after reading, and must agree to 1e-9.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.evaluation import EvaluationReport, evaluate
from genvis.evaluation.parallel import processors

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.evaluation.reference_evaluation import reference_evaluation

HEIGHT, WIDTH, FRAMES = 720, 1280, 60
CLASSES, OBJECTS = 25, 10
CORNERS = 80
# What the 20 detections of a video are, and how sure a model is of them on average.
GOOD, POOR, DUPLICATES, FRAGMENTS, SWITCHED, BACKGROUND = 7, 3, 3, 3, 2, 2
SCORES = [0.7] * GOOD + [0.5] * POOR + [0.4] * DUPLICATES + [0.4] * FRAGMENTS + [0.5] * SWITCHED + [0.2] * BACKGROUND

Mask = dict[str, Any] | None
Points = NDArray[np.float64]


def pairwise_iou(first: list[Mask], second: list[Mask]) -> float:
    """IoU of two tracks, frame by frame: the straightforward way."""
    common = union = 0.0
    for one, other in zip(first, second, strict=True):
        if one and other:
            common += coco_mask.area(coco_mask.merge([one, other], True))
            union += coco_mask.area(coco_mask.merge([one, other], False))
        elif one or other:
            union += coco_mask.area(one or other)
    return float(common / union) if union else 0.0


class Shape:
    """A wobbly outline on a path through the video; with some probability absent at its start and end."""

    def __init__(self, random: np.random.Generator, absent: float) -> None:
        angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        waves = sum(
            random.normal(0, 0.08) * np.cos(number * angle + random.uniform(0, 2 * np.pi)) for number in range(2, 9)
        )
        radii = np.exp(random.uniform(np.log(40), np.log(200), 2))
        start = random.uniform((100, 100), (WIDTH - 100, HEIGHT - 100))
        path = start + np.linspace(0, 1, FRAMES)[:, None] * random.normal(0, 200, 2)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + waves)[:, None] * radii
        self.outlines: Points = path[:, None] + circle
        first, last = np.sort(random.integers(0, FRAMES, 2)) if random.random() < absent else (0, FRAMES)
        self.span = range(int(first), max(int(last), int(first) + 10))

    def moved(self, random: np.random.Generator, amount: float) -> "Shape":
        """Return a detection of this object: shifted, scaled and with a rough outline."""
        copy = object.__new__(Shape)
        size = float(np.ptp(self.outlines[0], axis=0).mean())
        centre = self.outlines.mean(axis=1, keepdims=True)
        noise = random.normal(0, amount * size / 4, (FRAMES, 1, 2)) + random.normal(0, 2, self.outlines.shape)
        copy.outlines = centre + (self.outlines - centre) * (1 + random.normal(0, amount)) + noise
        copy.span = self.span
        return copy

    def masks(self, span: range | None = None) -> list[Mask]:
        """Return one mask per frame as RLE in text."""
        inside = np.clip(self.outlines, 0, (WIDTH, HEIGHT)).reshape(FRAMES, -1).tolist()
        encoded = coco_mask.frPyObjects(inside, HEIGHT, WIDTH)
        visible = self.span if span is None else span
        return [
            {"size": [HEIGHT, WIDTH], "counts": mask["counts"].decode()}
            if frame in visible and coco_mask.area(mask)
            else None
            for frame, mask in enumerate(encoded)
        ]


def make_video(
    number: int, random: np.random.Generator, *, absent: float, mixed: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the annotations and the results of one video."""
    objects = [Shape(random, absent) for _ in range(OBJECTS)]
    classes = random.choice(CLASSES, 2 if random.random() < mixed else 1, replace=False) + 1
    labels = [int(random.choice(classes)) for _ in objects]
    annotations = [
        {"video_id": number, "category_id": label, "iscrowd": 0, "segmentations": shape.masks()}
        for shape, label in zip(objects, labels, strict=True)
    ]
    tracks: list[tuple[int, list[Mask]]] = []
    for kind, count, amount in (("good", GOOD, 0.04), ("poor", POOR, 0.25), ("duplicate", DUPLICATES, 0.08)):
        offset = GOOD if kind == "poor" else 0
        for place in range(offset, offset + count):
            tracks.append((labels[place], objects[place].moved(random, amount).masks()))
    for place in random.choice(OBJECTS, FRAGMENTS, replace=False).tolist():
        start = int(random.integers(0, FRAMES * 2 // 3))
        tracks.append((labels[place], objects[place].moved(random, 0.05).masks(range(start, start + FRAMES // 3))))
    for _ in range(SWITCHED):
        one, other = random.choice(OBJECTS, 2, replace=False).tolist()
        half = FRAMES // 2
        parts = objects[one].moved(random, 0.05).masks()[:half] + objects[other].moved(random, 0.05).masks()[half:]
        tracks.append((labels[one], parts))
    for _ in range(BACKGROUND):
        tracks.append((labels[0], Shape(random, absent).masks()))
    results = [
        {
            "video_id": number,
            "category_id": label if random.random() < 0.9 else int(random.integers(1, CLASSES + 1)),
            "score": round(float(np.clip(random.normal(score, 0.15), 0, 1)), 3),
            "segmentations": masks,
        }
        for score, (label, masks) in zip(SCORES, tracks, strict=True)
    ]
    return annotations, results


def make_data_set(
    videos: int, *, seed: int, absent: float, mixed: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the document of an annotation file and the list of a results file."""
    random = np.random.default_rng(seed)
    parts = [make_video(number, random, absent=absent, mixed=mixed) for number in range(1, videos + 1)]
    names = [[f"{number:03d}/{frame:05d}.jpg" for frame in range(FRAMES)] for number in range(1, videos + 1)]
    annotations = {
        "videos": [
            {"id": number, "height": HEIGHT, "width": WIDTH, "length": FRAMES, "file_names": files}
            for number, files in enumerate(names, start=1)
        ],
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, CLASSES + 1)],
        "annotations": [
            {"id": number, **track} for number, track in enumerate((one for part in parts for one in part[0]), start=1)
        ],
    }
    return annotations, [track for part in parts for track in part[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=140)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--absent", type=float, default=0.0, help="share of objects that are absent in some frames")
    parser.add_argument("--mixed", type=float, default=0.0, help="share of videos with objects of two classes")
    options = parser.parse_args()
    print(f"making {options.videos} videos ...", flush=True)
    document, results = make_data_set(options.videos, seed=options.seed, absent=options.absent, mixed=options.mixed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        path.write_text(json.dumps(document))
        start = perf_counter()
        annotations = load_youtube_vis(path)
        print(
            f"reading the annotations ({path.stat().st_size / 1e6:.0f} MB): {perf_counter() - start:.1f} s", flush=True
        )
    same = sum(
        one["category_id"] == other["category_id"] and one["video_id"] == other["video_id"]
        for one in results
        for other in document["annotations"]
    )
    print(f"{len(results)} detections, {same} pairs of one class, {FRAMES} frames each", flush=True)
    evaluate(results[:20], annotations)  # imports and caches
    contenders: dict[str, Callable[[], EvaluationReport | dict[str, float | None]]] = {
        "pairwise": lambda: reference_evaluation(document, results, pairwise_iou),
        "ours, one process": lambda: evaluate(results, annotations, workers=1),
        f"ours, {processors()} processors": lambda: evaluate(results, annotations),
    }
    clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(1, options.rounds + 1):
        outcomes = {}
        for name, run in contenders.items():
            wall, processor = perf_counter(), processor_seconds()
            outcomes[name] = run()
            clocks[name].append((perf_counter() - wall, processor_seconds() - processor))
        print(
            f"round {number}: " + ", ".join(f"{name} {each[-1][0]:.2f} s" for name, each in clocks.items()), flush=True
        )
        check_equality(*outcomes.values())
    base = [median(values) for values in zip(*clocks["pairwise"], strict=True)]
    print("medians of        seconds  processor seconds  times as fast  by processor seconds")
    for name, each in clocks.items():
        wall, processor = (median(values) for values in zip(*each, strict=True))
        print(f"{name:18}{wall:7.2f}{processor:19.2f}{base[0] / wall:15.1f}{base[1] / processor:22.1f}")
    start = perf_counter()
    evaluate(results, annotations, errors=True)
    print(f"with error analysis: {perf_counter() - start:.2f} s")


def processor_seconds() -> float:
    """Processor time of this process and its finished children; unlike the clock, hardly changed by other programs."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def check_equality(expected: dict[str, float | None], *reports: EvaluationReport) -> None:
    for report in reports:
        got = vars(report.scores) | {f"AP of {category.category_id}": category.ap for category in report.categories}
        for name, value in expected.items():
            assert (got[name] is None) == (value is None), name
            assert value is None or abs(got[name] - value) < 1e-9, (name, got[name], value)
    print(f"AP {100 * (expected['ap'] or 0):.3f}, all numbers equal to 1e-9")


if __name__ == "__main__":
    main()
