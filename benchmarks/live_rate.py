"""Which model at which resolution keeps up with a stream of 30 frames a second, drawing and writing included.

A file is decoded and delivered as a camera does: each frame at its own time, again from the beginning until so many
seconds are over. `genvis predict --live` (the function behind it) segments, draws and writes; what comes too fast
gives way, as with a camera. Latency is from the moment at which a frame is due until it is drawn and encoded.

    python benchmarks/live_rate.py bikes.mp4 carphone.mp4 --networks sprites-tiny --resolutions 96 128 160
    python benchmarks/live_rate.py bikes.mp4 --networks VidEoMT-S Mask2Former-Swin-T GenVIS-R50 --dtype bfloat16

Networks other than `sprites-tiny` have random weights of the published sizes. The threshold lets about
five objects a frame through; such masks have far longer outlines than those of a trained network.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from genvis import VideoSegmenter
from genvis.checkpoints.load import load
from genvis.inference import live_jobs
from genvis.inference.jobs import PredictionOptions
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.published_models import swin_backbone
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig
from genvis.video import FrameRange, FrameSource, open_source
from genvis.video.sources.source import Pending, RGBImage
from genvis.video.writing.video_writer import VideoWriter

CLASSES = {index: f"class {index}" for index in range(40)}
OBJECTS = 5
# Before anything counts: first frames allocate memory and choose algorithms.
WARM_UP_SECONDS = 1.0


class Camera(FrameSource):
    """A file as a camera: every frame at its own time, over and over, until so many seconds are over.

    Args:
        path: The file.
        rate: Frames per second.
        seconds: When it ends.

    Attributes:
        began: When it began, of ``time.perf_counter``.
        sent: Frames so far.
    """

    def __init__(self, path: Path, *, rate: float, seconds: float) -> None:
        super().__init__(name=path.stem, frames=FrameRange())
        self._path, self._rate, self._seconds = path, rate, seconds
        with open_source(path) as source:
            self._size = source.size
        self.began = 0.0
        self.sent = 0

    @property
    def total_frames(self) -> int | None:
        """As of a camera."""
        return None

    @property
    def size(self) -> tuple[int, int] | None:
        """That of the file."""
        return self._size

    @property
    def frame_rate(self) -> float | None:
        """The rate asked for."""
        return self._rate

    @property
    def is_live(self) -> bool:
        """It does not wait."""
        return True

    def _read(self) -> Generator[Pending, None, None]:
        self.began, self.sent = time.perf_counter(), 0
        while True:
            with open_source(self._path) as source:
                for frame in source:
                    due = self.sent / self._rate
                    if due >= self._seconds:
                        return
                    time.sleep(max(0.0, self.began + due - time.perf_counter()))
                    index, self.sent = self.sent, self.sent + 1
                    yield Pending(index=index, time=due, name=str(index), load=_image(frame.image))


def _image(image: RGBImage) -> Callable[[], RGBImage]:
    return lambda: image


class Rate(NamedTuple):
    """Measurements of one stream.

    Attributes:
        frames_per_second: Written, of the seconds after the warm-up.
        dropped: Share of the frames that gave way then.
        median_ms: Of the latency, in milliseconds.
        worst_ms: Its 95th percentile.
        objects: Drawn on a frame, on average.
    """

    frames_per_second: float
    dropped: float
    median_ms: float
    worst_ms: float
    objects: float


def videomt_small() -> VidEoMT:
    sizes = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "num_blocks": 3}
    return VidEoMT(VidEoMTConfig(**sizes, image_size=640, id2label=CLASSES))


def swin_tiny() -> GenVIS:
    return GenVIS(
        GenVISConfig(
            detector={"backbone_config": swin_backbone("tiny"), "num_queries": 100, "id2label": CLASSES},
            id2label=CLASSES,
            method="minvis",
            propagate_queries=False,
            memory_read="none",
        )
    )


NETWORKS: dict[str, Callable[[], Any]] = {
    "sprites-tiny": lambda: load("sprites-tiny"),
    "VidEoMT-S": videomt_small,
    "Mask2Former-Swin-T": swin_tiny,
    "GenVIS-R50": lambda: GenVIS(GenVISConfig.from_recipe("ovis-r50-online")),
}


def threshold_for(segmenter: VideoSegmenter, path: Path) -> float:
    """Return the score that about `OBJECTS` objects of a frame reach."""
    session = segmenter.open_session(score_threshold=0.0, presence_threshold=0.0, overlaps="keep")
    with open_source(path) as source:
        frames = [frame.image for frame, _ in zip(source, range(4), strict=False)]
    last = [session.step(frame) for frame in frames][-1]
    scores = sorted((one.score for one in last), reverse=True)
    return float(np.mean(scores[OBJECTS - 1 : OBJECTS + 1])) if len(scores) > OBJECTS else 0.0


@contextmanager
def noted_writes() -> Iterator[dict[float, float]]:
    """Give the moment at which each frame was written, by its time in the stream."""
    moments: dict[float, float] = {}

    class NotingWriter(VideoWriter):
        def write(self, image: RGBImage, *, time: float) -> None:
            super().write(image, time=time)
            moments[time] = now()

    def noting(path: Path, source: FrameSource) -> VideoWriter:
        return NotingWriter(path, frame_rate=source.frame_rate)

    now = time.perf_counter
    with patch.object(live_jobs, "video_writer", noting):
        yield moments


def keep_up(segmenter: VideoSegmenter, path: Path, *, rate: float, seconds: float, threshold: float) -> Rate:
    """Run a stream and return what came of it."""
    camera = Camera(path, rate=rate, seconds=seconds + WARM_UP_SECONDS)
    options = PredictionOptions(outputs=("result", "video"), score_threshold=threshold)
    with tempfile.TemporaryDirectory() as folder, noted_writes() as moments:
        prediction = live_jobs.predict_live(
            segmenter, camera, Path(folder) / "out", options, on_progress=lambda _: None, should_stop=lambda: False
        )
    latencies = {due: 1000 * (moment - camera.began - due) for due, moment in moments.items()}
    counted = [latency for due, latency in latencies.items() if due >= WARM_UP_SECONDS]
    sent = sum(index / rate >= WARM_UP_SECONDS for index in range(camera.sent))
    masks = sum(mask is not None for track in prediction.result.tracks for mask in track.masks)
    return Rate(
        frames_per_second=len(counted) / seconds,
        dropped=1 - len(counted) / sent,
        median_ms=statistics.median(counted) if counted else float("nan"),
        worst_ms=float(np.percentile(counted, 95)) if counted else float("nan"),
        objects=masks / max(1, len(prediction.result)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=["sprites-tiny"])
    parser.add_argument("--resolutions", type=int, nargs="+", default=[96, 128, 160, 192, 224])
    parser.add_argument("--clip-lengths", type=int, nargs="+", default=[1])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each stream, after a second to warm up")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| network | resolution | clip | dtype | video | frames/s | dropped | latency, ms | 95% | objects |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in options.networks:
        torch.manual_seed(0)
        model = NETWORKS[name]().to(getattr(torch, options.dtype)).requires_grad_(False)
        for path in options.videos:
            for resolution in options.resolutions:
                for length in options.clip_lengths:
                    segmenter = VideoSegmenter(model, resolution=resolution, clip_length=length)
                    threshold = 0.3 if name == "sprites-tiny" else threshold_for(segmenter, path)
                    found = keep_up(segmenter, path, rate=options.rate, seconds=options.seconds, threshold=threshold)
                    print(
                        f"| {name} | {resolution} | {length} | {options.dtype} | {path.stem} | "
                        f"{found.frames_per_second:.1f} | {100 * found.dropped:.0f}% | {found.median_ms:.0f} | "
                        f"{found.worst_ms:.0f} | {found.objects:.1f} |",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
