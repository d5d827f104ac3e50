"""The server of the web application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from genvis.app.serving.answers import NotFoundError, error_handlers
from genvis.app.serving.desk import Desk
from genvis.app.serving.library_routes import library_routes
from genvis.app.serving.result_routes import correction_routes, result_routes
from genvis.app.serving.security import Gate
from genvis.app.working.job_queue import JobQueue, job_to_page

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def make_server(desk: Desk, *, token: str, hosts: frozenset[str], port: int) -> ASGIApp:
    """Return the application for an ASGI server.

    Args:
        desk: The folder that it serves, and what is open in it.
        token: The secret that every request must bring.
        hosts: Names by which the server may be called besides numbers and ``localhost``.
        port: On which it listens.
    """
    library = desk.library
    page = {entry.name: entry.read_bytes() for entry in files("genvis.app").joinpath("page").iterdir()}

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        desk.queue = JobQueue(library, on_change=lambda job: desk.events.tell("job", job_to_page(job)))
        loop.call_soon(desk.queue.start)
        try:
            yield
        finally:
            desk.events.close()
            await desk.queue.close()
            desk.close()

    def index(request: Request) -> Response:
        return Response(page["index.html"], media_type=TYPES["html"])

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in page:
            raise NotFoundError("There is no such file.")
        # Asked for anew at every visit, so that a newer version of the package is never mixed with an older page.
        return Response(page[name], media_type=TYPES[name.rpartition(".")[2]], headers={"cache-control": "no-cache"})

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name}", static),
            *library_routes(desk),
            *result_routes(desk),
            *correction_routes(desk),
        ],
        exception_handlers=error_handlers(library.root),
        lifespan=lifespan,
    )
    return Gate(app, token=token, hosts=hosts, port=port, upload_prefix="/api/upload")
