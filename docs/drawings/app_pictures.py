"""Pictures of every screen of `genvis app`, light and dark, in a real Chromium.

    python docs/drawings/app_pictures.py docs/images/app
    python docs/drawings/app_pictures.py pictures/ --width 1920 --height 1080

A generated video is segmented by the bundled model, with a low threshold and without its trained tracker, so that there
is something to correct. Needs the extras app, sprites and test, and the Chromium of the system.
"""

import argparse
import io
import shutil
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from PIL import Image
from tests.app.browser import browser_page, server_process

from genvis.data.sprites import SpriteVideos, render
from genvis.video import VideoWriter

FRAMES = 240


def make_folder(folder: Path) -> None:
    """Two videos: the demo's clip, and one of more animals."""
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip:
        shutil.copy(clip, folder / "crossing.mp4")
    scene = SpriteVideos(1, height=360, width=640, length=FRAMES, difficulty="normal").scene(0)
    with VideoWriter(folder / "zoo.mp4", frame_rate=24) as writer:
        for number, frame in enumerate(render(scene)):
            writer.write(frame.image, time=number / 24)


def segment(page: Any, video: str, **options: str) -> None:
    """Fill in the form and start the job."""
    page.click(f".item:has-text('{video}')")
    page.select_option("#model", "sprites-tiny")
    if not page.locator("details[open]").count():
        page.click("summary")
    for name, value in options.items():
        field = page.locator(f"[name={name}]")
        field.select_option(value) if name == "tracker" else field.fill(value)
    page.click("#segment")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browser_page() as page:
        folder = Path(name) / "videos"
        folder.mkdir()
        make_folder(folder)
        page.set_viewport_size({"width": options.width, "height": options.height})

        def picture(screen: str) -> None:
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                time.sleep(0.4)
                image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                image.save(options.out / f"{screen}_{theme}.webp", quality=82, method=6)

        with server_process(folder) as server:
            page.goto(server.address)
            segment(page, "zoo.mp4", score_threshold="0.2", tracker="memory")
            page.wait_for_selector("article.job[data-state=done]", timeout=300_000)
            segment(page, "crossing.mp4", score_threshold="0.3", tracker="")
            page.wait_for_selector("article.job:has-text('frames/s')", timeout=120_000)
            picture("segment")
            page.wait_for_selector("article.job[data-state=done]:has-text('crossing')", timeout=120_000)
            page.click("#results .item:has-text('zoo')")
            page.wait_for_selector("#stage[data-frame='0']")
            page.keyboard.press("g")
            page.keyboard.type("150")
            page.keyboard.press("Enter")
            page.wait_for_selector("#stage[data-frame='150']")
            page.keyboard.press("ArrowDown")
            picture("review")
            page.keyboard.press("n")
            page.wait_for_selector("#place-next", timeout=120_000)
            for _ in range(3):
                page.keyboard.press("a")
                time.sleep(0.8)
            time.sleep(4)
            picture("places")
            page.keyboard.press("?")
            picture("help")
            page.keyboard.press("Escape")
            page.click("#views [data-view=take]")
            for kind in ("youtube_vis", "cvat", "csv"):
                page.check(f"input[value={kind}]")
            page.click("#export")
            page.wait_for_selector("#made [data-state=done]", timeout=120_000)
            page.click("#append")
            page.wait_for_selector("#appended [data-state=done]", timeout=120_000)
            picture("take_along")


if __name__ == "__main__":
    main()
