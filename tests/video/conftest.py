"""Small videos made with PyAV: each frame carries its number in its grey level."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.stream_server import StreamServer
from tests.video.video_helpers import MakeVideo, grey_of


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    def make(
        name: str = "video.mp4",
        *,
        frames: int = 10,
        height: int = 48,
        width: int = 64,
        times: Sequence[float] | None = None,
        rate: int = 10,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        rotation: int = 0,
        options: dict[str, str] | None = None,
        codec_options: dict[str, str] | None = None,
        images: Sequence[np.ndarray] | None = None,
        pixel_aspect: Fraction | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=rate, options=codec_options or {})
            stream.height, stream.width = (height, width) if images is None else images[0].shape[:2]
            stream.pix_fmt = pixel_format
            if pixel_aspect is not None:
                stream.codec_context.sample_aspect_ratio = pixel_aspect
            if times is not None:
                stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            if rotation:
                stream.set_display_rotation(rotation)
            for number in range(frames if images is None else len(images)):
                image = images[number] if images is not None else np.full((height, width, 3), grey_of(number), np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
                if times is not None:
                    frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


@pytest.fixture
def http_server() -> Iterator[StreamServer]:
    server = StreamServer()
    yield server
    server.close()
