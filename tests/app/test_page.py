"""The page in a real Chromium."""

import json
import shutil
import zipfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from genvis.data.check import check_annotations
from genvis.results.types import Track, VideoResult
from genvis.video import VideoWriter, open_source
from tests.app.app_helpers import HEIGHT, TOKEN, WIDTH, serving, wait_until
from tests.app.browser import browser_page, chromium, server_process

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(autouse=True)
def _needs_chromium() -> None:
    chromium()


def edits_in(folder: Path) -> list[str]:
    """Kinds of the lines of a log."""
    path = folder / "edits.jsonl"
    return [json.loads(line)["edit"] for line in path.read_text().splitlines()[1:]] if path.exists() else []


def shown_frame(page: "Page") -> int:
    """The frame that stands on the screen."""
    return int(page.locator("#stage").get_attribute("data-frame") or -1)


def go_to(page: "Page", frame: int) -> None:
    """Type a frame's number."""
    page.keyboard.press("g")
    page.keyboard.type(str(frame))
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#stage[data-frame='{frame}']")


def expect_tracks(page: "Page", count: int) -> None:
    """Wait until the list has so many tracks."""
    from playwright.sync_api import expect

    expect(page.locator(".space .track")).to_have_count(count, timeout=30_000)


def places_of(tracks: tuple[Track, ...], position: int) -> list[tuple[int, tuple[int, int]]]:
    """A pixel, x and y, of every track that no other covers."""
    masks = {track.id: mask.decode() for track in tracks if (mask := track.masks[position])}
    found = []
    for number, mask in masks.items():
        others = [other for one, other in masks.items() if one != number]
        rows, columns = np.nonzero(mask & ~np.any(others, axis=0))
        middle = len(rows) // 2
        found.append((number, (int(columns[middle]), int(rows[middle]))))
    return found


def on_screen(page: "Page", x: int, y: int) -> tuple[float, float]:
    """Where the middle of a pixel of the video is on the page."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    return (
        box["x"] + box["width"] / 2 + (x + 0.5 - WIDTH / 2) * scale,
        box["y"] + box["height"] / 2 + (y + 0.5 - HEIGHT / 2) * scale,
    )


def grey_at(page: "Page", x: float, y: float) -> int:
    """Brightness of the canvas at a share of its size."""
    script = """([x, y]) => {
        const canvas = document.querySelector("#stage");
        return canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data[0];
    }"""
    return int(page.evaluate(script, [x, y]))


def test_looking_and_correcting_by_keyboard(folder: Path):
    result = folder / "results" / "clip"
    shutil.copy(folder / "clip.mp4", folder / "<img src=x onerror=alert(1)>.mp4")
    with serving(folder) as client, browser_page() as page:
        page.goto(f"http://127.0.0.1:{client.port}/?token={TOKEN}")
        assert TOKEN not in page.url
        # Names are text, whatever they hold.
        page.wait_for_selector("#videos .item:has-text('<img src=x')")
        assert page.locator("#videos img[src=x]").count() == 0
        page.get_by_role("button", name="Review", exact=True).click()
        page.wait_for_selector("#stage[data-frame='0']")
        assert "3 tracks" in page.locator(".tracks").inner_text()
        # Every frame is the very one: the video grows brighter by 10 from frame to frame.
        for key, frame in (("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("Home", 0), ("End", 11)):
            page.keyboard.press(key)
            page.wait_for_selector(f"#stage[data-frame='{frame}']")
            assert abs(grey_at(page, 0.5, 0.97) - (20 + 10 * frame)) <= 3
        tracks = VideoResult.load(result).tracks
        go_to(page, next(place for place in range(1, 12) if all(track.visible[place] for track in tracks)))
        # A click finds the object whose mask is there.
        for track, (x, y) in places_of(tracks, shown_frame(page)):
            page.mouse.click(*on_screen(page, x, y))
            page.wait_for_selector(f"#track-{track}.selected")
        page.keyboard.press("h")
        page.keyboard.press("h")
        # All by keyboard: the objects of the frame, merged; undone; done again.
        page.keyboard.press("Control+a")
        page.keyboard.press("m")
        expect_tracks(page, 1)
        assert edits_in(result) == ["merge"]
        page.keyboard.press("Control+z")
        expect_tracks(page, 3)
        page.keyboard.press("Control+Shift+z")
        expect_tracks(page, 1)
        assert edits_in(result) == ["merge", "undo", "redo"]
        # An impossible edit is said, and changes nothing.
        go_to(page, 0)
        page.keyboard.press("s")
        page.wait_for_selector(".toast.error:has-text('cannot be split')")
        page.keyboard.press("c")
        page.locator("#new-class").fill("Wolf")
        page.keyboard.press("Enter")
        page.wait_for_selector(".space .track:has-text('Wolf')")
        page.keyboard.press("?")
        assert "Merge the selected tracks" in page.locator("dialog.help").inner_text()
        page.keyboard.press("Escape")
        page.reload()
        page.wait_for_selector("#stage[data-frame='0']")
        assert "Wolf" in page.locator(".tracks").inner_text()
        page.keyboard.press("Space")
        wait_until(lambda: shown_frame(page) == 11)


def long_demo(path: Path) -> int:
    """Write the bundled clip several times over, long enough to be killed in the middle; return its frames."""
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip, open_source(clip) as source:
        images = [frame.image for frame in source]
    with VideoWriter(path, frame_rate=24) as writer:
        for number in range(4 * len(images)):
            writer.write(images[number % len(images)], time=number / 24)
    return 4 * len(images)


@pytest.mark.slow
def test_from_a_video_to_a_corrected_export_with_kills_in_between(tmp_path: Path):
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip:
        shutil.copy(clip, tmp_path / "first.mp4")
    upload = tmp_path.parent / "dropped.mp4"
    frames = long_demo(upload)
    with server_process(tmp_path) as server, browser_page() as page:
        page.goto(server.address)
        # Upload, and segment.
        page.locator("#files").set_input_files(str(upload))
        page.wait_for_selector(".item.selected:has-text('dropped.mp4')")
        page.locator("#model").select_option("sprites-tiny")
        page.locator("input[name=score_threshold]").fill("0.5")
        page.get_by_text("Frames, classes, tracker").click()
        page.locator("select[name=clip_length]").select_option("auto")
        with page.expect_request("**/api/jobs") as sent:
            page.locator("#segment").click()
        assert sent.value.post_data_json["options"]["clip_length"] == "auto"
        job = page.locator("article.job")
        job.filter(has_text="frames/s").wait_for()
        # The server is killed in the middle, and its worker notices; a new one goes on.
        server.kill()
        page.wait_for_selector("#offline:visible")
        server.start()
        page.wait_for_selector("#offline", state="hidden")
        page.locator("article.job[data-state=done]").wait_for(timeout=120_000)
        assert f"{frames} frames" in job.inner_text()
        page.locator("article.job [data-action=open]").click()
        page.wait_for_selector("#stage[data-frame='0']")
        folder = tmp_path / "results" / "dropped"
        original = (folder / "result.json").read_bytes()
        before = VideoResult.load(folder)
        assert len(before) == frames
        ids = sorted(track.id for track in before.tracks)
        rows = page.locator(".space .track")
        assert rows.count() == len(ids)
        # Split, undo, merge, relabel.
        go_to(page, 40)
        page.locator(f"#track-{ids[0]}").click()
        page.keyboard.press("s")
        expect_tracks(page, len(ids) + 1)
        page.keyboard.press("Control+z")
        expect_tracks(page, len(ids))
        page.locator(f"#track-{ids[0]}").click()
        page.locator(f"#track-{ids[1]}").click(modifiers=["Control"])
        page.locator("#merge").click()
        expect_tracks(page, len(ids) - 1)
        page.keyboard.press("c")
        page.locator("#new-class").fill("Cat")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#track-{ids[0]}:has-text('Cat')")
        page.keyboard.press("Control+s")
        page.wait_for_selector(".toast:has-text('saved')")
        assert edits_in(folder) == ["split", "undo", "merge", "category"]
        # A page that is loaded anew, and a server that was killed, show the same.
        server.kill()
        server.start()
        page.reload()
        page.wait_for_selector("#stage[data-frame='40']")
        assert page.locator(f"#track-{ids[0]}").inner_text().split()[:2] == [str(ids[0]), "Cat"]
        # Take along.
        page.get_by_role("button", name="Take along").click()
        for name in ("youtube_vis", "csv", "davis", "video", "cvat"):
            page.locator(f"input[value={name}]").check()
        page.locator("#export").click()
        page.locator("#made article[data-state=done]").wait_for(timeout=120_000)
        names = {}
        for link in page.locator("#made a.download").all():
            with page.expect_download() as download:
                link.click()
            names[link.inner_text().split()[-1]] = Path(download.value.path())
        assert set(names) == {"annotations.json", "objects.csv", "davis.zip", "annotated.mp4", "cvat.xml"}
        annotations = json.loads(names["annotations.json"].read_text())
        assert len(annotations["annotations"]) == len(ids) - 1
        with zipfile.ZipFile(names["davis.zip"]) as archive:
            assert sum(name.endswith(".png") for name in archive.namelist()) == frames
        # Into a training set, which the tools of training read.
        page.locator("#append").click()
        page.locator("#appended article[data-state=done]").wait_for(timeout=120_000)
        command = page.locator("#appended code").first.inner_text()
        assert command == "genvis data prepare training/annotations.json --images training/images"
        assert check_annotations(tmp_path / "training/annotations.json", images=tmp_path / "training/images").passed
        assert (folder / "result.json").read_bytes() == original
