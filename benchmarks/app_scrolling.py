"""How long the page of `genvis app` takes to open an hour of video, and to show a frame after a jump.

    python benchmarks/app_scrolling.py                      # an hour at 1280x720 and 25 frames/s, in a real Chromium
    python benchmarks/app_scrolling.py --minutes 2 --jumps 20

The video is some seconds of generated sprites, encoded once (H.264, key frames as x264 places them) and put behind one
another; its result has their exact masks, with new track ids every minute. Everything is measured in the page, from the
event that asks for a frame until that frame, with its masks, stands on the canvas. Needs the Chromium of the system and
the extras app and test.
"""

import argparse
import json
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from tests.app.browser import ServerProcess, browser_page

from genvis.data.sprites import SpriteVideos, render
from genvis.masks import RLEMask
from genvis.results.formats.genvis_json import to_json
from genvis.results.types import FrameStamp, VideoResult

HEIGHT, WIDTH, RATE = 720, 1280, 25
SECONDS = 20
SHOW = """async (frame) => {
    const field = document.querySelector(".where"), stage = document.querySelector("#stage");
    field.value = frame;
    const began = performance.now();
    field.dispatchEvent(new Event("change"));
    while (stage.dataset.frame !== String(frame)) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
PLAY = """async (seconds) => {
    const stage = document.querySelector("#stage");
    const first = +stage.dataset.frame;
    document.querySelector("#play").click();
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    document.querySelector("#play").click();
    return (+stage.dataset.frame - first) / seconds;
}"""


def make_scene() -> tuple[list[bytes], list[list[tuple[int, str]]], int]:
    """Return the images as bytes, the objects of every frame with their masks as JSON, and the number of objects."""
    scene = SpriteVideos(3, height=HEIGHT, width=WIDTH, length=SECONDS * RATE, difficulty="hard").scene(1)
    images, masks, most = [], [], 0
    for frame in render(scene):
        images.append(frame.image.tobytes())
        own = []
        for number in np.unique(frame.owners[frame.owners > 0]).tolist():
            own.append((number, json.dumps(RLEMask.encode(frame.owners == number).to_coco(), separators=(",", ":"))))
            most = max(most, number)
        masks.append(own)
    return images, masks, most


def make_video(path: Path, images: list[bytes], *, repeats: int) -> None:
    """Encode the images once, and put the packets behind one another."""
    once = path.with_suffix(".once.mp4")
    with av.open(str(once), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, image in enumerate(images):
            pixels = np.frombuffer(image, np.uint8).reshape(HEIGHT, WIDTH, 3)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path), "w") as whole:
        out = None
        for repeat in range(repeats):
            with av.open(str(once)) as part:
                source = part.streams.video[0]
                out = out or whole.add_stream_from_template(source)
                length = round(len(images) / RATE / source.time_base)
                for packet in part.demux(source):
                    if packet.dts is None:
                        continue
                    packet.pts += repeat * length
                    packet.dts += repeat * length
                    packet.stream = out
                    whole.mux(packet)
    once.unlink()


def make_result(folder: Path, masks: list[list[tuple[int, str]]], objects: int, *, repeats: int) -> int:
    """Write the result of the video, track after track, without holding its masks; return the number of tracks."""
    length = len(masks)
    total = length * repeats
    stamps = tuple(FrameStamp(number, number / RATE, f"{number:05d}") for number in range(total))
    head = to_json(VideoResult(name="hour", height=HEIGHT, width=WIDTH, frames=stamps, tracks=()))
    by_object = [[dict(frame).get(number, "null") for frame in masks] for number in range(1, objects + 1)]
    folder.mkdir(parents=True)
    every = max(1, 60 // SECONDS)  # New ids every minute.
    with (folder / "result.json").open("w") as file:
        file.write(json.dumps(head, separators=(",", ":")).removesuffix("[]}") + "[")
        identifier = 0
        for first in range(0, repeats, every):
            count = min(every, repeats - first)
            for number in range(objects):
                identifier += 1
                track = {"id": identifier, "label": "Animal", "label_id": 0, "category_id": 1, "score": 0.9}
                file.write(("," if identifier > 1 else "") + json.dumps(track).removesuffix("}") + ',"segmentations":[')
                absent = ["null"] * length
                parts = [by_object[number] if first <= repeat < first + count else absent for repeat in range(repeats)]
                file.write(",".join(entry for part in parts for entry in part) + "]}")
        file.write("]}")
    return identifier


def times_of(page: Any, positions: list[int]) -> tuple[float, float]:
    """Return median and 95th percentile of the milliseconds until frames are shown."""
    took = [float(page.evaluate(SHOW, position)) for position in positions]
    return statistics.median(took), float(np.percentile(took, 95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--jumps", type=int, default=200)
    options = parser.parse_args()
    repeats = max(1, round(60 * options.minutes / SECONDS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, masks, objects = make_scene()
        make_video(folder / "hour.mp4", images, repeats=repeats)
        tracks = make_result(folder / "results" / "hour", masks, objects, repeats=repeats)
        frames = repeats * len(masks)
        size = (folder / "results" / "hour" / "result.json").stat().st_size
        video = (folder / "hour.mp4").stat().st_size
        print(f"{frames:,} frames, {tracks} tracks, result.json {size / 1e6:.0f} MB, video {video / 1e6:.0f} MB")
        rows = []
        for visit in ("the first time (its index is made)", "from then on"):
            server = ServerProcess(folder)
            try:
                with browser_page() as page:
                    page.goto(server.address)
                    page.wait_for_selector("#results .item")
                    began = time.perf_counter()
                    page.click("#results .item")
                    page.wait_for_selector("#stage[data-frame='0']", timeout=600_000)
                    rows.append((f"opening, {visit}", f"{time.perf_counter() - began:.1f} s", ""))
                    if visit == "from then on":
                        rows += measure(page, frames, options.jumps)
                        memory = psutil.Process(server.process.pid).memory_info().rss
                        rows.append(("memory of the server afterwards", f"{memory / 1e6:.0f} MB", ""))
            finally:
                server.stop()
        print("\n| | median | 95th percentile |\n|---|---|---|")
        for row in rows:
            print(f"| {' | '.join(row)} |")


def measure(page: Any, frames: int, jumps: int) -> list[tuple[str, str, str]]:
    """Return the rows of the table."""
    random = np.random.default_rng(0)
    rows = []
    for title, positions in (
        ("jump to any frame", random.integers(0, frames, jumps).tolist()),
        ("one frame on", list(range(frames // 2, frames // 2 + jumps))),
        ("one frame back", list(range(frames // 2, max(0, frames // 2 - jumps), -1))),
    ):
        page.evaluate(SHOW, max(0, positions[0] - 1))
        middle, late = times_of(page, positions)
        rows.append((title, f"{middle:.0f} ms", f"{late:.0f} ms"))
    page.evaluate(SHOW, frames // 3)
    rows.append(("playing at 1x, frames/s shown", f"{page.evaluate(PLAY, 10):.1f}", ""))
    page.select_option("[aria-label=Speed]", "4")
    page.evaluate(SHOW, frames // 4)
    rows.append(("playing at 4x, frames/s shown", f"{page.evaluate(PLAY, 10):.1f}", ""))
    return rows


if __name__ == "__main__":
    main()
