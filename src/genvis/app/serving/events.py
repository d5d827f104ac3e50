"""What happens, told to the pages that are open: server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

MOST_LISTENERS = 64
MOST_PENDING = 1000
KEEP_ALIVE_SECONDS = 15.0


class Events:
    """Hands events to every page that listens; one that does not keep up is cut off, and connects again."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[tuple[str, Any] | None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether no more pages can listen."""
        return len(self._listeners) >= MOST_LISTENERS

    def tell(self, name: str, content: Any) -> None:
        """Tell all pages."""
        for listener in list(self._listeners):
            try:
                listener.put_nowait((name, content))
            except asyncio.QueueFull:
                self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams: the server stops."""
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """Deliver events, as a page reads them, until it goes."""
        listener: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(MOST_PENDING)
        self._listeners.add(listener)
        try:
            yield b"retry: 1000\n\n"
            while listener in self._listeners:
                try:
                    event = await asyncio.wait_for(listener.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if event is None:
                    return
                name, content = event
                yield f"event: {name}\ndata: {json.dumps(content)}\n\n".encode()
        finally:
            self._listeners.discard(listener)
