"""Accuracy and speed over the clip length: fixed ones, and clips that adapt and are cut at scene changes.

    python benchmarks/clip_windows.py accuracy --output experiments-output
    python benchmarks/clip_windows.py cuts
    python benchmarks/clip_windows.py speed

Accuracy is that of the bundled model on the validation videos (seed 2023), on four of their sets also with every fourth
frame only (``/4``: fast motion), and on joined videos: three or four stretches of 8 to 30 frames of the set *normal*
one after another, with hard cuts between them. The detector's outputs are recorded in the output folder first. Speed is
that of the whole network and its masks; the lengths take turns, and the median of the rounds counts.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.evaluation import EvaluationPlan, evaluate_tracker
from experiments.recordings import RecordedVideo, record, with_images
from experiments.runner import weights_digest
from experiments.validation_sets import validation_set

from experiments import FIRST_BUNDLED_MODEL
from genvis.checkpoints.load import load_genvis
from genvis.inference.run_setup import ClipLength
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.windows.clip_windows import AdaptiveWindows

MODEL = FIRST_BUNDLED_MODEL
SETS = ("normal", "occluded", "returning", "endless", "crowd-10")
FAST_SETS = ("normal", "occluded", "returning", "endless")
LENGTHS: tuple[ClipLength, ...] = (1, 3, 5, 7, "auto")


def recorded(output: Path, name: str) -> list[RecordedVideo]:
    validation = validation_set(name)
    weights = weights_digest(load_genvis(MODEL).as_minvis())
    recording = record(lambda: load_genvis(MODEL), validation, output / "recordings" / name, fingerprint=weights)
    return with_images(recording, validation)


def joined(videos: list[RecordedVideo], *, seed: int = 0) -> Iterator[RecordedVideo]:
    """Every video gives two stretches, which come up in different joined videos."""
    random = np.random.default_rng(seed)
    for _ in range(2):
        order = list(random.permutation(len(videos)))
        while order:
            scenes = []
            for place in order[: int(random.integers(3, 5))]:
                frames = int(random.integers(8, 31))
                start = int(random.integers(len(videos[place]) - frames + 1))
                scenes.append(videos[place].part(slice(start, start + frames)))
            order = order[len(scenes) :]
            yield RecordedVideo.joined(scenes)


def measure_accuracy(output: Path, sets: list[str]) -> None:
    print("set          clips      AP   HOTA   IDF1  id switches", flush=True)
    for name in sets:
        whole = recorded(output, "normal" if name == "joined" else name.removesuffix("/4"))
        videos = list(joined(whole)) if name == "joined" else whole
        if name.endswith("/4"):
            videos = [video.part(slice(None, None, 4)) for video in whole]
        for length in LENGTHS:
            scores = evaluate_tracker(load_genvis(MODEL), videos, EvaluationPlan(name, length))
            row = f"{scores.ap:6.1f} {scores.hota:6.1f} {scores.idf1:6.1f} {scores.switches:8d}"
            print(f"{name:12s} {length!s:5s} {row}", flush=True)


def measure_cuts() -> None:
    """Precision and recall on stretches of videos, one after another, of which every so many frames are taken."""
    random = np.random.default_rng(1)
    right = wrong = cuts = frames = 0
    for name, videos in (("normal", 24), ("occluded", 12), ("returning", 16)):
        samples = replace(validation_set(name), videos=videos).load()
        whole = [samples[index].frames.permute(0, 2, 3, 1).numpy() for index in range(videos)]
        for stride in (1, 2, 4, 8):
            stretches = []
            for video in whole:
                taken = video[::stride]
                length = int(random.integers(4, min(len(taken), 30) + 1))
                start = int(random.integers(0, len(taken) - length + 1))
                stretches.append(taken[start : start + length])
            true = set(np.cumsum([len(stretch) for stretch in stretches])[:-1].tolist())
            windows = AdaptiveWindows(1)
            found = {place for place, image in enumerate(np.concatenate(stretches)) if windows.starts_scene(image)}
            right, wrong = right + len(found & true), wrong + len(found - true)
            cuts, frames = cuts + len(true), frames + sum(map(len, stretches))
    print(f"{cuts} cuts in {frames} frames: precision {right / (right + wrong):.1%}, recall {right / cuts:.1%}")


def measure_speed(rounds: int) -> None:
    import torch

    torch.set_num_threads(1)
    model = load_genvis(MODEL)
    endless = validation_set("endless").load()[0].frames[:84].permute(0, 2, 3, 1).contiguous().numpy()
    normal = validation_set("normal").load()
    scenes = [normal[index].frames[:21].permute(0, 2, 3, 1).contiguous().numpy() for index in range(4)]
    for name, frames in (("one scene", endless), ("four scenes", np.concatenate(scenes))):
        seconds: dict[ClipLength, list[float]] = {length: [] for length in LENGTHS}
        for turn in range(rounds + 1):
            for length, measured in seconds.items():
                segmenter = VideoSegmenter(model, clip_length=length)
                began = time.perf_counter()
                segmenter.segment(frames)
                if turn:  # The first one warms up.
                    measured.append(time.perf_counter() - began)
        medians = {length: float(np.median(measured)) for length, measured in seconds.items()}
        speeds = "  ".join(f"{length}: {len(frames) / median:.1f}" for length, median in medians.items())
        print(f"{name}, frames/s: {speeds}; auto takes {medians['auto'] / medians[7]:.3f} of the time of 7", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("accuracy", "cuts", "speed"))
    parser.add_argument("--output", type=Path, default=Path("experiments-output"))
    parser.add_argument("--sets", nargs="+", default=["joined", *SETS, *(f"{name}/4" for name in FAST_SETS)])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.what == "accuracy":
        measure_accuracy(options.output, options.sets)
    elif options.what == "cuts":
        measure_cuts()
    else:
        measure_speed(options.rounds)


if __name__ == "__main__":
    main()
