"""Peak memory and time per frame of whole-video segmentation against the length of the video.

Makes a 1280x720 video of sprites per length, segments each in a process of its own (decoding, network, selection, mask
encoding; then the annotated mp4 is drawn) and prints a table:

    python benchmarks/long_video.py --lengths 100 2000 --weights sprites-tiny
    python benchmarks/long_video.py --lengths 100 2000 --weights sprites-tiny --tracker memory

Peak memory is the operating system's own figure for the whole process. The time per frame is the median over the first
frames (after a warm-up) and over the last ones of the same run.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WARM_UP, WINDOW = 10, 60


def make_video(path: Path, frames: int) -> None:
    from genvis.data.sprites import SpriteVideos, render
    from genvis.video.writing.video_writer import VideoWriter

    scene = SpriteVideos(1, height=720, width=1280, length=frames, difficulty="normal").scene(0)
    with VideoWriter(path, frame_rate=24) as writer:
        for index, frame in enumerate(render(scene)):
            writer.write(frame.image, time=index / 24)


def measure(video: Path, out: Path, options: argparse.Namespace) -> None:
    """Segment one video and print the figures as JSON; runs in a process of its own."""
    from genvis import VideoSegmenter
    from genvis.checkpoints.load import load
    from genvis.inference.jobs import PredictionOptions, predict_video
    from genvis.memory import peak_memory
    from genvis.video import open_source

    segmenter = VideoSegmenter(
        load(options.weights),
        tracker=options.tracker,
        memory_clips=options.memory_clips,
        clip_length=options.clip_length,
    )
    moments: list[tuple[int, float]] = []
    with open_source(video) as source:
        prediction = predict_video(
            segmenter,
            source,
            out,
            PredictionOptions(overwrite=True),
            on_progress=lambda progress: moments.append((progress.frames, time.perf_counter())),
            on_drawing=lambda _: None,
            should_stop=lambda: False,
        )
    per_frame = [
        (later - earlier) / (done - before) for (before, earlier), (done, later) in itertools.pairwise(moments)
    ]
    figures = {
        "frames": len(prediction.result),
        "objects": len(prediction.result.tracks),
        "first_ms": 1000 * statistics.median(per_frame[WARM_UP : WARM_UP + WINDOW]),
        "last_ms": 1000 * statistics.median(per_frame[-WINDOW:]),
        "peak_mb": peak_memory() / 2**20,
    }
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--weights", default="sprites-tiny")
    parser.add_argument("--memory-clips", type=int)
    parser.add_argument("--clip-length", type=int)
    parser.add_argument("--tracker", help="as of genvis predict")
    parser.add_argument("--folder", type=Path, help="keep the videos and outputs here, and use videos that are there")
    parser.add_argument("--measure", nargs=2, metavar=("VIDEO", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        video, out = map(Path, options.measure)
        measure(video, out, options)
        return
    print(f"{'frames':>8} {'objects':>8} {'ms/frame first':>15} {'ms/frame last':>14} {'ratio':>6} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for length in options.lengths:
            video = folder / f"{length}.mp4"
            if not video.exists():
                make_video(video, length)
            command = [sys.executable, __file__, "--measure", str(video), str(Path(folder) / f"out{length}")]
            command += ["--weights", options.weights]
            for name in ("memory_clips", "clip_length", "tracker"):
                if getattr(options, name):
                    command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            row = json.loads(output.splitlines()[-1])
            ratio = row["last_ms"] / row["first_ms"]
            print(
                f"{row['frames']:>8} {row['objects']:>8} {row['first_ms']:>15.1f} {row['last_ms']:>14.1f} "
                f"{ratio:>6.2f} {row['peak_mb']:>8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
