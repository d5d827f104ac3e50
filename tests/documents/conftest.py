"""A folder with everything that the documents' commands name, small and generated."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from genvis.categories import known_categories
from genvis.checkpoints.registry import DEFAULT_MODEL, entry_of
from genvis.data.sprites import SpriteVideos, render
from genvis.masks import encode_mask
from genvis.results.editing.edit_log import EditLog
from genvis.results.editing.edits import SetCategory
from genvis.results.types import FrameStamp, Track, VideoResult
from genvis.video import VideoWriter
from tests.checkpoints.hub_server import cache_by_hand
from tests.stream_server import StreamServer
from tests.tiny_families import save_tiny_family

TINY_WEIGHTS = Path(__file__).parents[1] / "golden" / "inference" / "genvis_r50_tiny.pth"
FRAMES = 8
# As CVAT exports a video in which one fish was outlined.
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id><name>reef</name><size>{frames}</size>
<mode>interpolation</mode><start_frame>0</start_frame><frame_filter></frame_filter>
<labels><label><name>fish</name><attributes/></label></labels>
<original_size><width>160</width><height>96</height></original_size><source>reef.mp4</source></task></meta>
<track id="0" label="fish" source="manual">{shapes}</track></annotations>
"""
SHAPE = (
    '<polygon frame="{frame}" keyframe="1" outside="0" occluded="0" z_order="0" '
    'points="{left}.00,20.00;{right}.00,20.00;{right}.00,60.00;{left}.00,60.00"/>'
)


@pytest.fixture(scope="session")
def clip() -> list[np.ndarray]:
    """Frames (96, 160, 3) uint8 of sprites."""
    scene = SpriteVideos(8, height=96, width=160, length=FRAMES, difficulty="easy").scene(7)
    return [frame.image for frame in render(scene)]


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hub cache in which a tiny random model stands for the default one."""
    root = tmp_path_factory.mktemp("cache")
    names = dict(enumerate(known_categories("youtube_vis_2019").names))
    hub_id = entry_of(DEFAULT_MODEL).hub_id
    assert hub_id is not None
    cache_by_hand(root / "hub", hub_id, save_tiny_family(root / "model", "videomt", id2label=names))
    return root / "hub"


@pytest.fixture
def reader_s_folder(clip: list[np.ndarray], hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader of the documents works; it is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub_cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)  # Where completion is installed.
    for name in ("ride.mp4", "video.mp4", "reef.mp4", "new.mp4", "hour1.mp4", "hour2.mp4"):
        write_video(tmp_path / name, clip)
    (tmp_path / "clips").mkdir()
    remux(tmp_path / "ride.mp4", tmp_path / "clips" / "evening.mkv")
    (tmp_path / "shots").mkdir()
    for number, image in enumerate(clip[:3]):
        Image.fromarray(image).save(tmp_path / "shots" / f"{number:03d}.png")
    shutil.copy(TINY_WEIGHTS, tmp_path / "genvis_r50_ytvis21.pth")
    shapes = "".join(SHAPE.format(frame=frame, left=20 + 4 * frame, right=60 + 4 * frame) for frame in range(FRAMES))
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("annotations.xml", CVAT.format(frames=FRAMES, shapes=shapes))
    reef_result().save(tmp_path / "out" / "reef", outputs=["result"])
    EditLog(tmp_path / "out" / "reef").append(SetCategory(track_id=6, label="Turtle"))
    return tmp_path


@pytest.fixture
def stream(clip: list[np.ndarray]) -> Iterator[str]:
    """The address of a camera."""
    server = StreamServer()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        coded = container.add_stream("mpeg2video", rate=25)
        coded.height, coded.width, coded.pix_fmt = *clip[0].shape[:2], "yuv420p"
        for image in clip:
            container.mux(coded.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(coded.encode())
    server.body = buffer.getvalue()
    yield f"{server.address}/live.ts"
    server.close()


def reef_result() -> VideoResult:
    """A result of reef.mp4: six fish that swim to the right, one above the other."""
    tracks = []
    for place in range(6):
        masks = np.zeros((FRAMES, 96, 160), bool)
        for frame in range(FRAMES):
            masks[frame, 16 * place : 16 * place + 12, 10 + 8 * frame : 40 + 8 * frame] = True
        tracks.append(Track(place + 1, "Fish", 18, 19, 0.9 - 0.1 * place, tuple(encode_mask(mask) for mask in masks)))
    stamps = tuple(FrameStamp(frame, frame / 10, f"{frame:05d}") for frame in range(FRAMES))
    return VideoResult("reef", 96, 160, stamps, tuple(tracks), "ovis")


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    with VideoWriter(path, frame_rate=10) as writer:
        for number, image in enumerate(frames):
            writer.write(image, time=number / 10)


def remux(source: Path, target: Path) -> None:
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for packet in reader.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                writer.mux(packet)
