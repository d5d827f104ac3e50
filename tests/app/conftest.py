"""A folder with a video and its result, and a server for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra app is not installed")

from tests.app.app_helpers import Client, serving, small_result, small_video


def make_folder(place: Path) -> Path:
    """A folder to serve, in a folder that must not be seen."""
    root = place / "secret place" / "served"
    small_video(root / "clip.mp4")
    small_result().save(root / "results" / "clip")
    (place / "secret place" / "outside.txt").write_text("nobody may read this")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to serve."""
    return make_folder(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server for tests that change nothing."""
    with serving(make_folder(tmp_path_factory.mktemp("shared"))) as client:
        yield client


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    """A client of a server of the folder."""
    with serving(folder) as client:
        yield client
