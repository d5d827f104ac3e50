"""A small local server that speaks the part of CVAT's API that is used: one task made of images."""

import io
import json
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

TOKEN = "secret-of-the-tests"
TASK = 42


class CvatServer:
    """One task; what is sent to it is kept.

    Attributes:
        labels: Name -> number.
        images: Frames of the task.
        start: First frame of the video.
        step: Every how many frames.
        received: (method, action, body) of each writing request.
    """

    def __init__(self, labels: dict[str, int], images: list[np.ndarray], *, start: int = 0, step: int = 1) -> None:
        self.labels, self.images, self.start, self.step = labels, images, start, step
        self.received: list[tuple[str, str, dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any] | bytes | None:
        """Return what a reading request gets; None if there is nothing."""
        if path == "/api/server/about":
            return {"name": "CVAT", "description": "", "version": "2.80.0", "logo_url": "", "subtitle": ""}
        if path == f"/api/tasks/{TASK}":
            return self._task()
        if path == "/api/labels":
            return {"count": len(self.labels), "next": None, "previous": None, "results": self._labels()}
        if path == f"/api/tasks/{TASK}/data/meta":
            return self._meta()
        if path == f"/api/tasks/{TASK}/data" and query.get("type") == ["chunk"]:
            return self._chunk()
        return None

    def _task(self) -> dict[str, Any]:
        return {
            "url": f"{self.address}/api/tasks/{TASK}",
            "id": TASK,
            "name": "reef",
            "project_id": None,
            "mode": "annotation",
            "media_type": "image",
            "owner": None,
            "assignee": None,
            "bug_tracker": "",
            "created_date": "2026-01-01T00:00:00Z",
            "updated_date": "2026-01-01T00:00:00Z",
            "overlap": 0,
            "segment_size": 0,
            "initial_replicas": 0,
            "status": "annotation",
            "data_chunk_size": len(self.images),
            "data_original_chunk_type": "imageset",
            "data_compressed_chunk_type": "imageset",
            "guide_id": None,
            "size": len(self.images),
            "image_quality": 70,
            "data": 1,
            "dimension": "2d",
            "subset": "",
            "organization": None,
            "organization_id": None,
            "target_storage": None,
            "source_storage": None,
            "jobs": {"count": 1, "completed": 0, "validation": 0, "url": f"{self.address}/api/jobs?task_id={TASK}"},
            "labels": {"url": f"{self.address}/api/labels?task_id={TASK}"},
            "validation_mode": None,
        }

    def _labels(self) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "name": name,
                "color": "#ff0000",
                "attributes": [],
                "type": "any",
                "sublabels": [],
                "task_id": TASK,
                "parent_id": None,
                "has_parent": False,
            }
            for name, number in self.labels.items()
        ]

    def _meta(self) -> dict[str, Any]:
        return {
            "chunks_updated_date": "2026-01-01T00:00:00Z",
            "chunk_size": len(self.images),
            "size": len(self.images),
            "image_quality": 70,
            "start_frame": self.start,
            "stop_frame": self.start + self.step * (len(self.images) - 1),
            "frame_filter": f"step={self.step}" if self.step > 1 else "",
            "frames": [
                {"name": f"{place:05d}.png", "width": image.shape[1], "height": image.shape[0], "related_files": 0}
                for place, image in enumerate(self.images)
            ],
            "deleted_frames": [],
            "included_frames": None,
            "storage": "local",
            "cloud_storage_id": None,
        }

    def _chunk(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for place, image in enumerate(self.images):
                content = io.BytesIO()
                Image.fromarray(image).save(content, "PNG")
                archive.writestr(f"{place:06d}.png", content.getvalue())
        return buffer.getvalue()


def _handler(server: CvatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._is_allowed():
                return
            place = urlsplit(self.path)
            content = server.answer(place.path.rstrip("/"), parse_qs(place.query))
            if content is None:
                self._send(404, b'{"detail": "Not found."}')
            elif isinstance(content, bytes):
                self._send(200, content, "application/zip")
            else:
                self._send(200, json.dumps(content).encode())

        def do_PATCH(self) -> None:
            self._take("PATCH")

        def do_PUT(self) -> None:
            self._take("PUT")

        def _take(self, method: str) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            place = urlsplit(self.path)
            if not self._is_allowed():
                return
            if place.path.rstrip("/") != f"/api/tasks/{TASK}/annotations":
                self._send(404, b"{}")
                return
            action = parse_qs(place.query).get("action", [""])[0]
            document = json.loads(body)
            server.received.append((method, action, document))
            answer = {"version": 1, "tags": [], "shapes": [], "tracks": []}
            self._send(200, json.dumps(answer).encode())

        def _is_allowed(self) -> bool:
            if TOKEN in self.headers.get("Authorization", ""):
                return True
            self._send(401, b'{"detail": "Invalid token."}')
            return False

        def _send(self, status: int, content: bytes, kind: str = "application/vnd.cvat+json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
