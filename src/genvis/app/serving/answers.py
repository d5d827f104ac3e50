"""Answers of the server: JSON, and errors as one sentence that names no path of this machine."""

import logging
import re
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from genvis.app.hidden_paths import without_paths
from genvis.app.serving.security import LARGEST_BODY, BodyTooLargeError
from genvis.errors import GenVISError, InputError
from genvis.json_values import shown

LOG = logging.getLogger("genvis.app")


class NotFoundError(InputError):
    """Something that the page asks for and that is not there (any more)."""


def error_handlers(root: Path) -> dict[Any, Any]:
    """Return what Starlette calls for exceptions."""

    def expected(request: Request, error: Exception) -> JSONResponse:
        status = 404 if isinstance(error, NotFoundError) else 422
        return JSONResponse({"error": without_paths(str(error), root)}, status)

    def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        sentence = {404: "There is no such page.", 405: "This cannot be done here."}.get(
            error.status_code, error.detail
        )
        return JSONResponse({"error": sentence}, error.status_code, headers=error.headers)

    def too_large(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"The request is larger than {LARGEST_BODY:,} bytes."}, 413)

    def broken_off(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # Nobody reads it: whoever asked has gone.

    def unexpected(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The server failed; the terminal in which it runs says how."}, 500)

    return {
        GenVISError: expected,
        HTTPException: http,
        BodyTooLargeError: too_large,
        ClientDisconnect: broken_off,
        Exception: unexpected,
    }


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        InputError: If it is none.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InputError("The request must be JSON.")
    try:
        content = await request.json()
    except (ValueError, RecursionError):
        raise InputError("The request is not JSON.") from None
    if not isinstance(content, dict):
        raise InputError("The request must be a JSON object.")
    return content


def number_in(values: Any, name: str, *, least: int, most: int, default: int | None = None) -> int:
    """Return a whole number of a request's query.

    Raises:
        InputError: If it is missing, no number, or out of range.
    """
    text = values.get(name)
    if text is None and default is not None:
        return default
    text = str(text)
    if not re.fullmatch(r"\d{1,12}", text) or not least <= int(text) <= most:
        raise InputError(f"'{name}' is {shown(text)}; it must be a whole number from {least} to {most}.")
    return int(text)
