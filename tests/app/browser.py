"""A real Chromium, and a server in a process of its own that can be killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The Chromium of the system; none is ever downloaded."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    for program in PROGRAMS:
        if path := shutil.which(program):
            return path
    pytest.skip(f"none of {', '.join(PROGRAMS)} is installed: `apt-get install chromium`")


@contextmanager
def browser_page(**how: Any) -> Iterator["Page"]:
    """A page of a fresh browser; errors of its scripts fail the test."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True, **how)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("response", lambda answer: said.append(f"{answer.status} {answer.url}"))
        page.on("requestfailed", lambda request: said.append(f"{request.failure} {request.url}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
        try:
            yield page
        except Exception:
            # What a person would look at first.
            print(page.url, page.locator("body").inner_text(), *wrong, *said[-40:], sep="\n")
            raise
        finally:
            browser.close()
    assert wrong == []


class ServerProcess:
    """`genvis app` in a process of its own."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.start()

    def start(self) -> None:
        """Start it; its address is kept."""
        words = [sys.executable, "-m", "genvis", "app", str(self.folder), "--no-browser", "--port", str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        self.address = next(line.strip() for line in lines if line.startswith("http"))

    def kill(self) -> None:
        """End it at once, as a crash does; its workers are orphans then."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it as Ctrl-C does, and make sure that nothing is left."""
        if self.process.poll() is None:
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
            _, left = psutil.wait_procs(children, timeout=20)
            assert left == []


@contextmanager
def server_process(folder: Path) -> Iterator[ServerProcess]:
    """Serve a folder."""
    server = ServerProcess(folder)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
