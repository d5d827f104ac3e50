"""Scores of a sprite model on generated validation videos: `python benchmarks/bundled_model.py MODEL`.

Prints the detector's frame-level mask AP, and for GenVIS online, GenVIS semi-online and MinVIS' matching on the same
detector: video AP, AP50, HOTA, IDF1 and id switches.
"""

import argparse
import time

import torch

from genvis.checkpoints.load import load_genvis
from genvis.data.samples.batch import collate
from genvis.data.sprites import SpriteVideos
from genvis.evaluation.evaluated_videos import evaluate_videos
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.genvis import GenVIS
from genvis.training.stages.detector_input import detector_input
from genvis.training.validation.validation_scores import (
    average_precision_percent,
    evaluated_frame,
    evaluated_video,
    frame_instances,
)


@torch.no_grad()
def frame_scores(model: GenVIS, images: SpriteVideos) -> dict[str, float]:
    """Return COCO's mask AP of the detector on single frames."""
    records = []
    for image in (images[index] for index in range(len(images))):
        pixels, _ = detector_input(model.detector, collate([image]))
        prediction = model.detector.predict(model.detector(pixels, layers=1))
        height, width = image.frames.shape[-2:]
        (found,) = frame_instances(prediction, height=height, width=width, padded=tuple(pixels.shape[-2:]), top=20)
        records.append(
            evaluated_frame(found, labels=image.labels, masks=image.masks[:, 0], categories=model.config.categories)
        )
    return average_precision_percent(records, categories=model.config.categories)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--difficulty", default="normal")
    parser.add_argument("--split", default="validation", choices=["train", "validation", "novel"])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--overlaps", default="keep", choices=["keep", "resolve"], help="resolve: default results")
    options = parser.parse_args()
    model = load_genvis(options.model).eval()
    images = SpriteVideos(
        options.images, length=1, span=25, difficulty=options.difficulty, split=options.split, seed=options.seed + 1
    )
    scores = {name: round(value, 1) for name, value in frame_scores(model, images).items()}
    print(f"{options.difficulty}, {options.split}: detector on {options.images} frames: {scores}", flush=True)
    videos = SpriteVideos(options.videos, difficulty=options.difficulty, split=options.split, seed=options.seed)
    for name, segmenter in (
        ("GenVIS online", VideoSegmenter(model, clip_length=1)),
        ("GenVIS semi-online, clips of 3", VideoSegmenter(model, clip_length=3)),
        ("MinVIS matching", VideoSegmenter(model, tracker="queries", clip_length=1)),
        ("memory matching", VideoSegmenter(model, tracker="memory", clip_length=1)),
    ):
        start = time.perf_counter()
        records = [evaluated_video(videos[index], segmenter, overlaps=options.overlaps) for index in range(len(videos))]
        report = evaluate_videos(records, categories=model.config.categories, identity=True)
        ap, tracking = report.scores, report.identity
        assert tracking is not None
        percent = {"AP": ap.ap, "AP50": ap.ap50, "AP75": ap.ap75, "HOTA": tracking.hota}
        percent |= {"AssA": tracking.assa, "DetA": tracking.deta, "IDF1": tracking.idf1}
        numbers = "  ".join(f"{kind} {100 * (value or 0):5.1f}" for kind, value in percent.items())
        seconds = time.perf_counter() - start
        print(f"{name:31} {numbers}  id switches {tracking.id_switches}  ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
