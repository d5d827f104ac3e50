"""Routes of one result: its frames and masks, its corrections, and what is taken along."""

import asyncio
import secrets
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from genvis.app.serving.answers import body_of, number_in
from genvis.app.serving.desk import Desk, OpenResult
from genvis.app.serving.library_routes import FOR_EVER, jpeg, result_to_page
from genvis.app.working.formats_offered import formats_named, formats_offered
from genvis.app.working.job_queue import job_to_page
from genvis.errors import InputError, OutputError
from genvis.results.editing.edits import edit_from_json
from genvis.video.drawing.palette import DISTINCT_COLORS, track_color

BASE = "/api/results/{result}"
MOST_FRAMES = 512
LARGEST_WIDTH = 4096


def result_routes(desk: Desk) -> list[Route]:
    """Return the routes that only look."""
    decoders = asyncio.Semaphore(2)

    async def describe(request: Request) -> Response:
        identifier = request.path_params["result"]
        opened = await run_in_threadpool(desk.open, identifier)
        if opened is None:
            result = await run_in_threadpool(desk.result, identifier)
            work = {
                "result": desk.library.relative(result.path),
                "index": desk.library.relative(desk.library.index_folder(result)),
            }
            job = desk.queue.running_or_new("index", title=result.name, folder=".genvis", work=work)
            return JSONResponse({"preparing": job_to_page(job)}, 202)
        answer = await run_in_threadpool(_describe, opened)
        return JSONResponse(answer, background=BackgroundTask(opened.corrected.warm))

    async def frame(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        last = len(opened.corrected.index) - 1
        position = number_in(request.path_params, "position", least=0, most=last)
        width = number_in(request.query_params, "width", least=16, most=LARGEST_WIDTH, default=LARGEST_WIDTH)
        async with decoders:
            if await request.is_disconnected():  # It was left for another while it waited.
                return Response(status_code=204)
            picture = await run_in_threadpool(_picture, opened, position, width)
        return Response(picture, media_type="image/jpeg", headers={"cache-control": FOR_EVER})

    async def masks(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        length = len(opened.corrected.index)
        first = number_in(request.query_params, "first", least=0, most=length)
        count = number_in(request.query_params, "count", least=1, most=MOST_FRAMES)
        frames = await run_in_threadpool(opened.corrected.masks, first, first + count)
        return JSONResponse({"first": first, "frames": frames}, headers={"cache-control": FOR_EVER})

    return [
        Route(BASE, describe),
        Route(f"{BASE}/frames/{{position}}", frame),
        Route(f"{BASE}/masks", masks),
    ]


def correction_routes(desk: Desk) -> list[Route]:
    """Return the routes that change something, or take it along."""

    async def take(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        state = await run_in_threadpool(opened.corrected.state)
        return JSONResponse(
            {
                "result": opened.result.name,
                "edits": len(state["edits"]),
                "has_video": opened.video is not None,
                "formats": formats_offered(has_video=opened.video is not None),
                "annotations": await run_in_threadpool(desk.library.annotation_files),
            }
        )

    async def edit(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        body = await body_of(request)
        return await _changed(desk, opened, partial(_edit, opened, body))

    async def undo(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        return await _changed(desk, opened, opened.corrected.undo)

    async def redo(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        return await _changed(desk, opened, opened.corrected.redo)

    async def review(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        work = {
            "result": desk.library.relative(opened.result.path),
            "index": desk.library.relative(desk.library.index_folder(opened.result)),
            "result_id": opened.result.id,
        }
        job = desk.queue.running_or_new("review", title=opened.result.name, folder=".genvis", work=work)
        return JSONResponse({"job": job_to_page(job)}, 202)

    async def choose_video(request: Request) -> Response:
        result = await run_in_threadpool(desk.result, request.path_params["result"])
        body = await body_of(request)
        video = await run_in_threadpool(desk.video, str(body.get("video")))
        await run_in_threadpool(desk.library.choose_video, result, video)
        desk.forget(result.id)
        return JSONResponse({})

    async def export(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        body = await body_of(request)
        work: dict[str, Any] = {
            "formats": formats_named(body.get("formats"), has_video=opened.video is not None),
            "result_id": opened.result.id,
            "result": desk.library.relative(opened.result.path),
            "index": desk.library.relative(desk.library.index_folder(opened.result)),
        }
        if opened.video is not None:
            work["video"] = opened.video.name
        folder = f".genvis/exports/{secrets.token_hex(8)}"
        job = desk.queue.add("export", title=opened.result.name, folder=folder, work=work)
        return JSONResponse(job_to_page(job), 201)

    async def append(request: Request) -> Response:
        opened = await run_in_threadpool(desk.opened, request.path_params["result"])
        body = await body_of(request)
        if opened.video is None:
            raise InputError(f"The video of '{opened.result.name}' is not in the folder: choose it in the view Review.")
        work = {
            "file": desk.library.new_file(body.get("file"), suffix=".json"),
            "result": desk.library.relative(opened.result.path),
            "index": desk.library.relative(desk.library.index_folder(opened.result)),
            "video": opened.video.name,
            "video_id": opened.video.id,
            "result_id": opened.result.id,
        }
        job = desk.queue.running_or_new("append", title=work["file"], folder=".genvis", work=work)
        return JSONResponse(job_to_page(job), 201)

    return [
        Route(f"{BASE}/take", take),
        Route(f"{BASE}/append", append, methods=["POST"]),
        Route(f"{BASE}/edits", edit, methods=["POST"]),
        Route(f"{BASE}/undo", undo, methods=["POST"]),
        Route(f"{BASE}/redo", redo, methods=["POST"]),
        Route(f"{BASE}/review", review, methods=["POST"]),
        Route(f"{BASE}/video", choose_video, methods=["POST"]),
        Route(f"{BASE}/exports", export, methods=["POST"]),
    ]


def _describe(opened: OpenResult) -> dict[str, Any]:
    index = opened.corrected.index
    video = opened.video
    return {
        **result_to_page(opened.result),
        "version": opened.version,
        "video": None if video is None else {"id": video.id, "name": video.name},
        "frames": len(index),
        "times": _series(index.times, tolerance=1e-3),
        "indices": _series(index.indices, tolerance=0),
        "problem": index.problem,
        "rows": len(index.tracks),
        "categories": opened.corrected.categories(),
        "colors": ["#{:02x}{:02x}{:02x}".format(*track_color(number + 1)) for number in range(DISTINCT_COLORS)],
        "state": opened.corrected.state(),
    }


def _series(values: NDArray[Any], *, tolerance: float) -> dict[str, Any]:
    """Return numbers shortly where their steps are equal, as those of most videos are."""
    if len(values) > 2:
        start, step = float(values[0]), float(values[-1] - values[0]) / (len(values) - 1)
        if np.abs(values - (start + step * np.arange(len(values)))).max() <= tolerance:
            return {"start": start, "step": step}
    return {"values": values.tolist() if values.dtype.kind == "i" else np.round(values, 4).tolist()}


def _picture(opened: OpenResult, position: int, width: int) -> bytes:
    index = opened.corrected.index
    pixels = opened.frames().image(position)
    if pixels.shape[:2] != (index.height, index.width):
        assert opened.video is not None
        raise InputError(
            f"'{opened.video.name}' is {pixels.shape[1]}x{pixels.shape[0]}, but the result is of "
            f"{index.width}x{index.height}: choose its own video."
        )
    image = Image.fromarray(pixels)
    if width < image.width:
        height = max(1, round(width * image.height / image.width))
        image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return jpeg(image)


def _edit(opened: OpenResult, body: dict[str, Any]) -> dict[str, Any]:
    if body.get("edit") == "split" and "new_id" not in body:
        body = {**body, "new_id": opened.corrected.next_id()}
    return opened.corrected.edit(edit_from_json(body))


async def _changed(desk: Desk, opened: OpenResult, change: Any) -> Response:
    """Answer with what a change led to, and tell the other pages."""
    try:
        state = await run_in_threadpool(change)
    except OutputError:
        desk.forget(opened.result.id)  # Another program has written into the log: it is read anew.
        raise
    desk.events.tell("edited", {"id": opened.result.id, "edits": len(state["edits"]), "undone": len(state["undone"])})
    return JSONResponse(state)
