"""Small videos made with PyAV: each frame carries its number in its grey level."""

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


def grey_of(number: int) -> int:
    return 20 + 8 * number % 220


def number_of(image: np.ndarray) -> int:
    """The frame number that a frame of a test video carries."""
    return round((float(image.mean()) - 20) / 8)


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
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=rate, options=codec_options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
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


class StreamServer:
    """An HTTP server that sends one body, and then stalls or closes; or never answers."""

    def __init__(self) -> None:
        self.body = b""
        self.stalls = False
        self.is_mute = False
        self.requests: list[str] = []
        self.ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if outer.is_mute:
                    outer.ended.wait(10)
                    return
                self.send_response(200 if outer.body else 404)
                if not self.path.startswith("/live"):
                    self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)
                self.wfile.flush()
                if outer.stalls:
                    outer.ended.wait(10)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def http_server() -> Iterator[StreamServer]:
    server = StreamServer()
    yield server
    server.close()
