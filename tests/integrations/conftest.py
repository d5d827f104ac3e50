from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.integrations.cvat_server import TOKEN, CvatServer

Serve = Callable[..., CvatServer]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server with a task; the access token is in the environment."""
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    servers = []

    def start(labels: dict[str, int], images: list[np.ndarray], **options: int) -> CvatServer:
        servers.append(CvatServer(labels, images, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
