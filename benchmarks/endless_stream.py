"""Time per frame, memory and size of the state of a live session over many frames of a stream.

    python benchmarks/endless_stream.py --weights sprites-tiny --tracker memory --frames 2000

The stream is the clip of the demo, over and over. Windows of a tenth of the frames: median time, memory of the process,
size of the tracker's state.
"""

import argparse
import statistics
import time
from importlib.resources import as_file, files
from itertools import chain, islice, repeat

from genvis import VideoSegmenter
from genvis.checkpoints.load import load
from genvis.memory import used_memory
from genvis.video import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="sprites-tiny")
    parser.add_argument("--tracker")
    parser.add_argument("--resolution", type=int, default=96)
    parser.add_argument("--frames", type=int, default=2000)
    options = parser.parse_args()
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip, open_source(clip) as source:
        images = [frame.image for frame in source]
    segmenter = VideoSegmenter(load(options.weights), tracker=options.tracker, resolution=options.resolution)
    session = segmenter.open_session()
    seconds: list[float] = []
    window = options.frames // 10
    print("frames  ms/frame  process MB  state MB  ids")
    for image in islice(chain.from_iterable(repeat(images)), options.frames):
        began = time.perf_counter()
        session.step(image)
        seconds.append(time.perf_counter() - began)
        if len(seconds) % window == 0:
            state = session._setup.tracker.state_tensors(session._state)
            megabytes = sum(tensor.nbytes for tensor in state.values()) / 1e6
            median = 1000 * statistics.median(seconds[-window:])
            row = f"{median:9.1f} {used_memory() / 1e6:11.0f} {megabytes:9.2f} {session.objects:4d}"
            print(f"{len(seconds):6d} {row}", flush=True)


if __name__ == "__main__":
    main()
