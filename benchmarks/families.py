"""Frames/s of the pretrained families at one video size, ours against transformers' own classes.

Random weights of the published sizes, frames of noise. For each family, "ours" is a live session: a frame in, its
tracks and their masks at its size out. "transformers" is the forward pass of its own class, which tracks nothing
and cuts no mask. Transformers' VidEoMT takes squares only, so that both also see the same square. All take turns in one
process; medians by the clock.

    python benchmarks/families.py --height 360 --width 640 --threads 2
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import Mask2FormerForUniversalSegmentation, VideomtForUniversalSegmentation

from genvis import VideoSegmenter
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.published_models import swin_backbone
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig

CLASSES = {index: f"class {index}" for index in range(40)}


class Contest(NamedTuple):
    """Two ways to the same answer, each for one frame."""

    name: str
    ours: Callable[[], object]
    transformers: Callable[[], object]


def videomt(config: VidEoMTConfig) -> tuple[VidEoMT, Any]:
    """Return our VidEoMT and transformers' with the same weights."""
    model = VidEoMT(config).eval()
    reference = VideomtForUniversalSegmentation(config).eval()
    reference.load_state_dict(model.state_dict())
    return model, reference


def session(model: GenVIS | VidEoMT, frame: np.ndarray) -> Callable[[], object]:
    """Return what takes the next frame of a live session; random weights find nothing above a threshold of 0."""
    opened = VideoSegmenter(model, resolution=min(frame.shape[:2]), max_size=max(frame.shape[:2])).open_session(
        score_threshold=0.5
    )
    return lambda: opened.step(frame)


def contests(height: int, width: int) -> list[Contest]:
    """Return the families with models of the published sizes."""
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    side = 640
    sizes = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "num_blocks": 4}
    small, reference = videomt(VidEoMTConfig(**sizes, image_size=side, id2label=CLASSES))
    square = torch.randn(1, 3, side, side)
    swin = GenVIS(
        GenVISConfig(
            detector={"backbone_config": swin_backbone("tiny"), "num_queries": 100, "id2label": CLASSES},
            id2label=CLASSES,
            method="minvis",
            propagate_queries=False,
            memory_read="none",
        )
    ).eval()
    resnet = GenVIS(GenVISConfig.from_recipe("ytvis19-r50-online")).eval()
    result = [
        Contest(
            f"VidEoMT-S, {side}x{side} of both",
            lambda: small.step(square),
            lambda: reference(pixel_values_videos=square[None]),
        ),
        Contest(
            f"VidEoMT-S, {height}x{width} against {side}x{side}",
            session(small, frame),
            lambda: reference(pixel_values_videos=square[None]),
        ),
    ]
    for name, model in (("Mask2Former-Swin-T", swin), ("GenVIS-R50", resnet)):
        theirs = Mask2FormerForUniversalSegmentation(model.config.detector_config).eval()
        images = torch.from_numpy(frame).permute(2, 0, 1)[None, None]
        pixels = model.prepare_frames(images)
        result.append(Contest(f"{name}, {height}x{width}", session(model, frame), lambda net=theirs, x=pixels: net(x)))
    return result


@torch.inference_mode()
def medians(contest: Contest, *, repeats: int) -> tuple[float, float]:
    """Return the median seconds of ours and of transformers, measured in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for run, times in zip((contest.ours, contest.transformers), seconds, strict=True):
            start = time.perf_counter()
            run()
            if turn:  # The first one warms up.
                times.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads, float32")
    for contest in contests(options.height, options.width):
        ours, theirs = medians(contest, repeats=options.repeats)
        print(
            f"{contest.name}: {1 / ours:.2f} frames/s, transformers {1 / theirs:.2f} frames/s, "
            f"time ratio {ours / theirs:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
