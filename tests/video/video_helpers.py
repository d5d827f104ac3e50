"""What the tests of this folder share: numbers in grey levels, and a server that stalls, drops or never answers."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

MakeVideo = Callable[..., Path]


def grey_of(number: int) -> int:
    return 20 + 8 * number % 220


def number_of(image: np.ndarray) -> int:
    """The frame number that a frame of a test video carries."""
    return round((float(image.mean()) - 20) / 8)


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
