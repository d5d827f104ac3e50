"""A folder with a video and its result, and a server for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra app is not installed")

from tests.app.app_helpers import Client, serving, small_result, small_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to serve, in a folder that must not be seen."""
    root = tmp_path / "secret place" / "served"
    small_video(root / "clip.mp4")
    small_result().save(root / "results" / "clip")
    (tmp_path / "secret place" / "outside.txt").write_text("nobody may read this")
    return root


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    """A client of a server of the folder."""
    with serving(folder) as client:
        yield client
