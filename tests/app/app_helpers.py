"""What the tests of the application share: small results and videos, a server, and a client that sends anything."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from genvis.app.launch import AppServer, allow_many_connections
from genvis.app.library import Library
from genvis.app.serving.desk import Desk
from genvis.app.serving.server import make_server
from genvis.masks import RLEMask
from genvis.results.types import FrameStamp, Track, VideoResult
from genvis.video import VideoWriter

TOKEN = "t" * 40
HEIGHT, WIDTH = 48, 64
CLASSES = ("Cat", "Dog", "Fish")


def small_result(*, frames: int = 12, tracks: int = 3, name: str = "clip", seed: int = 0) -> VideoResult:
    """Boxes that move to the right, each with gaps; no class of a known data set."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(tracks):
        masks: list[RLEMask | None] = []
        for position in range(frames):
            mask = np.zeros((HEIGHT, WIDTH), np.bool_)
            left = 2 * position + 3 * number
            mask[10 * number : 10 * number + 12, left : left + 14] = True
            masks.append(RLEMask.encode(mask) if random.random() < 0.8 or position == number else None)
        label = number % len(CLASSES)
        made.append(Track(number + 1, CLASSES[label], label, label + 1, round(0.9 - 0.1 * number, 3), tuple(masks)))
    stamps = tuple(FrameStamp(index, index / 10, f"{index:05d}") for index in range(frames))
    return VideoResult(name=name, height=HEIGHT, width=WIDTH, frames=stamps, tracks=tuple(made))


def small_video(path: Path, *, frames: int = 12) -> Path:
    """A video of grey frames, brighter from one to the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, frame_rate=10) as writer:
        for number in range(frames):
            writer.write(np.full((HEIGHT, WIDTH, 3), 20 + 10 * number, np.uint8), time=number / 10)
    return path


@dataclass
class Client:
    """Sends requests as they are."""

    port: int

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
        *,
        token: str | None = TOKEN,
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        own = {} if token is None else {"authorization": f"Bearer {token}"}
        try:
            is_chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body=body, headers={**own, **(headers or {})}, encode_chunked=is_chunked)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON of an answer that is expected to be well."""
        status, _, body = self.send("GET", path)
        assert status < 300, (status, body)
        return json.loads(body)

    def post(self, path: str, content: Any = None, *, expect: int = 200) -> Any:
        """Send JSON, and return the JSON of the answer."""
        headers = {"content-type": "application/json"}
        status, _, body = self.send("POST", path, json.dumps(content or {}).encode(), headers)
        assert status == expect, (status, body)
        return json.loads(body)

    def wait_for(self, path: str, is_there: Callable[[Any], Any], *, seconds: float = 30) -> Any:
        """Ask until something is there."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get(path)
            if is_there(answer):
                return answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)

    def opened(self, result: str) -> Any:
        """Return what the page is told of a result, as soon as its index is made."""
        return self.wait_for(f"/api/results/{result}", lambda answer: "preparing" not in answer)


def wait_until(is_so: Any, *, seconds: float = 60, why: str = "") -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := is_so()):
        assert time.monotonic() < deadline, why
        time.sleep(0.05)
    return value


@contextmanager
def serving(folder: Path, *, most_upload: int = 1 << 20) -> Iterator[Client]:
    """Serve a folder in a thread."""
    allow_many_connections()
    desk = Desk(Library(folder), most_upload=most_upload)
    config = uvicorn.Config(
        make_server(desk, token=TOKEN, hosts=frozenset(), port=0),
        port=0,
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    server = AppServer(config, desk)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()
