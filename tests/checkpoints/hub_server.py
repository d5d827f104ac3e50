"""A Hub of one's own on this machine: the few answers that fetching a model needs."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    models: ClassVar[dict[str, Path]] = {}
    requests: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = urlsplit(self.path).path.strip("/")
        self.requests.append(path)
        for name, folder in self.models.items():
            if path.startswith(f"api/models/{name}/tree/"):
                return self._json([_file(file) for file in sorted(folder.iterdir())], with_body)
            if path == f"api/models/{name}" or path.startswith(f"api/models/{name}/revision/"):
                siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in sorted(folder.iterdir())]
                card = {"license": "mit"}
                return self._json({"id": name, "sha": COMMIT, "siblings": siblings, "cardData": card}, with_body)
            prefix = f"{name}/resolve/{COMMIT}/"
            if path.startswith(prefix) and (folder / path.removeprefix(prefix)).is_file():
                return self._bytes((folder / path.removeprefix(prefix)).read_bytes(), with_body)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def _json(self, content: Any, with_body: bool) -> None:
        self._send(json.dumps(content).encode(), {"Content-Type": "application/json"}, with_body)

    def _bytes(self, content: bytes, with_body: bool) -> None:
        etag = hashlib.sha256(content).hexdigest()
        self._send(content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, with_body)

    def _send(self, content: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def _file(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"type": "file", "path": path.name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def hub_server(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serve model folders by Hub id; yield the address and the list of paths that are asked for."""
    _Handler.models, _Handler.requests = models, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", _Handler.requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def cache_by_hand(cache: Path, hub_id: str, folder: Path) -> Path:
    """Lay a model folder into a Hub cache as the Hub's client does: blobs, refs and snapshots of links."""
    root = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    for part in (root / "blobs", root / "refs", snapshot):
        part.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        content = file.read_bytes()
        blob = root / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot
