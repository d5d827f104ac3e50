"""A web server on this machine that stalls, drops, comes back or never answers."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StreamServer:
    """An HTTP server that sends a body, and then stalls or closes; or never answers.

    Attributes:
        body: What every request gets; none is answered with "not found".
        bodies: What the next requests get, one each, before ``body``; None is answered with "not found".
        stalls: Whether connections stay open, silent, after the body.
        is_mute: Whether nothing is answered at all.
        requests: The paths that were asked for.
    """

    def __init__(self) -> None:
        self.body = b""
        self.bodies: list[bytes | None] = []
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
                body = outer.bodies.pop(0) if outer.bodies else outer.body
                self.send_response(200 if body else 404)
                if not self.path.startswith("/live"):
                    self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")
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
