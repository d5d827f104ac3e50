"""The server as a program: where it listens, and what it says."""

import ipaddress
import logging
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from genvis.app.library import Library
from genvis.app.serving.desk import Desk
from genvis.app.serving.security import host_names, kept_token
from genvis.app.serving.server import make_server
from genvis.errors import InputError
from genvis.files import printable
from genvis.fingerprint import claim

# Every connection is an open file. Many systems allow 1024, which idle connections of anybody here could take up.
MOST_FILES = 16_384


def serve(
    folder: Path,
    *,
    host: str,
    port: int,
    open_browser: bool,
    most_upload: int,
    say: Callable[[str], None],
) -> None:
    """Serve a folder until Ctrl-C.

    Args:
        folder: Made if it does not exist.
        host: Address to listen on.
        port: To listen on; 0 takes a free one.
        open_browser: Whether to open the page.
        most_upload: Bytes of the largest upload.
        say: Called with sentences for the terminal.

    Raises:
        InputError: If the address cannot be listened on, or another server works in the folder.
        OutputError: If the folder cannot be written.
    """
    allow_many_connections()
    library = Library(folder)
    library.own.chmod(0o700)
    with claim(library.own):
        listening = _listen(host, port)
        try:
            port = listening.getsockname()[1]
            token = kept_token(library.own)
            desk = Desk(library, most_upload=most_upload)
            app = make_server(desk, token=token, hosts=host_names(host), port=port)
            # One loop, no access log: it would hold the token.
            config = uvicorn.Config(
                app,
                log_level=logging.WARNING,
                access_log=False,
                timeout_keep_alive=20,
                timeout_graceful_shutdown=5,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                lifespan="on",
            )
            name = f"[{host}]" if ":" in host else host
            if _is_any(host):
                name = "127.0.0.1"
            address = f"http://{name}:{port}/?token={token}"
            say(f"Serving '{library.root}'. Open this address; Ctrl-C ends it, and jobs go on with the next start:")
            say(address)
            if not _is_loopback(host):
                say(
                    f"Attention: '{host}' can be reached from other computers. Whoever has the address with its token "
                    "can see, change and upload everything in the folder, and the connection is not encrypted: "
                    "prefer `ssh -L` to this computer."
                )
            if elsewhere := library.folders_elsewhere():
                say(
                    f"Videos of some results are outside of the folder, in '{printable(elsewhere[0])}', and cannot be "
                    "shown: copy them into it, or serve a folder that holds both."
                )
            if open_browser:
                webbrowser.open(address)
            AppServer(config, desk).run(sockets=[listening])
        finally:
            listening.close()


class AppServer(uvicorn.Server):
    """A server that tells open pages that it ends, instead of waiting for them.

    Args:
        config: Uvicorn's.
        desk: Whose pages are told.
    """

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all streams of events, then do what uvicorn does."""
        self._desk.events.close()
        await super().shutdown(sockets)


def allow_many_connections() -> None:
    """Raise the limit of open files as far as the system lets a user, where it has one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(MOST_FILES, most)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], found[1], found[2])
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Cannot listen on {host}, port {port} ({reason}): choose another with --port.") from None
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
