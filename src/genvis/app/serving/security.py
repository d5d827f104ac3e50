"""Who may ask: a token, the name of the host, the origin of the page, and the size of what is sent."""

import hmac
import ipaddress
import os
import secrets
import socket
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genvis.errors import InputError
from genvis.files import cannot_write

# Edits and jobs are some kilobytes; only uploads are larger, and are measured where they are written.
LARGEST_BODY = 1 << 20
SAFE_METHODS = frozenset({"GET", "HEAD"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ASK_FOR_TOKEN = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>genvis</title><h1>genvis</h1>"
    "<p>This page opens with the address that <code>genvis app</code> printed; it ends in <code>?token=...</code></p>"
)


def kept_token(folder: Path) -> str:
    """Return the token of a folder, made at the first call; so an address holds when the server starts anew.

    Args:
        folder: The application's own folder, in which only the user can read the token.

    Raises:
        InputError: If the file holds something else.
        OutputError: If it cannot be written.
    """
    path = folder / "token"
    try:
        try:
            token = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            token = secrets.token_urlsafe(32)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(token)
        else:
            path.chmod(0o600)
    except OSError as error:
        raise cannot_write(path, error) from error
    except ValueError:
        token = ""
    if len(token) < 32 or not token.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"'{path}' holds no token: remove it, and a new one is made.")
    return token


class Gate:
    """Lets requests through that bring the token, and refuses those that another site makes a browser send.

    - *Token*: in the address of the page once, from then on in a cookie that scripts cannot read and other sites
      cannot send; or in the header ``Authorization: Bearer``.
    - *Host*: numbers, ``localhost`` and the names that were given. A name of somebody else that leads here (DNS
      rebinding) is refused.
    - *Origin*: whatever changes something must come from the page itself.
    - *Size*: bodies end at ``LARGEST_BODY``, but for uploads.

    Args:
        app: What is guarded.
        token: The secret.
        hosts: Names by which the server may be called, besides numbers and ``localhost``.
        port: Of the server; browsers keep cookies by host alone, so the cookie is named after it.
        upload_prefix: Path below which bodies may be large.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str], port: int, upload_prefix: str) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts | {"localhost"}
        self._cookie = f"genvis-{port}"
        self._uploads = upload_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", [])}
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in own]
                if b"cache-control" not in own:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        request = HTTPConnection(scope)
        refusal = self._refusal(request, scope["method"])
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        if not request.url.path.startswith(self._uploads):
            receive = _Limited(receive)
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, request: HTTPConnection, method: str) -> Response | None:
        """Return the answer to a request that goes no further; None lets it through."""
        headers, path = request.headers, request.url.path
        if not self._knows_host(headers.get("host", "")):
            return _refused(421, "This server does not answer to that host name.")
        if not _is_own_origin(headers, method):
            return _refused(403, "Another site may not use this server.")
        given = request.query_params.get("token")
        if given is not None and path == "/" and method in SAFE_METHODS and self._is_token(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if given is not None or not (self._is_token(request.cookies.get(self._cookie, "")) or self._is_token(bearer)):
            sentence = "The token is missing or wrong: open the address that `genvis app` printed."
            return HTMLResponse(ASK_FOR_TOKEN, 401) if path == "/" else _refused(401, sentence)
        return None if path.startswith(self._uploads) else _refused_length(headers.get("content-length", "0"))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _knows_host(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.removeprefix("[").removesuffix("]").lower()
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # Nobody can make a number lead elsewhere.


class BodyTooLargeError(Exception):
    """A body that goes on after the limit."""


class _Limited:
    """Counts the bytes of a body that names no length."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > LARGEST_BODY:
            raise BodyTooLargeError
        return message


def host_names(host: str) -> frozenset[str]:
    """Return the names by which a server that listens on ``host`` is called."""
    if host in ("127.0.0.1", "::1", "localhost"):
        return frozenset()
    return frozenset({host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()})


def _is_own_origin(headers: Headers, method: str) -> bool:
    site = headers.get("sec-fetch-site", "none")
    mode = headers.get("sec-fetch-mode", "")
    if site not in ("none", "same-origin") and not (method in SAFE_METHODS and mode == "navigate"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()


def _refused_length(length: str) -> Response | None:
    if not length.isascii() or not length.isdecimal():
        return _refused(400, "The length of the request is no number.")
    return _refused(413, f"The request is larger than {LARGEST_BODY:,} bytes.") if int(length) > LARGEST_BODY else None


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)
