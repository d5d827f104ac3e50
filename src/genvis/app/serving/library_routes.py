"""Routes of the folder: what is in it, uploads, models, jobs."""

import io
import shutil
from typing import Any

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from genvis import __version__
from genvis.app.library import LibraryResult, LibraryVideo
from genvis.app.serving.answers import NotFoundError, body_of, number_in
from genvis.app.serving.desk import Desk
from genvis.app.serving.uploads import UploadTooLargeError, receive_video
from genvis.app.working.job_queue import job_to_page
from genvis.app.working.segment_options import SegmentOptions
from genvis.checkpoints.hub import cached_snapshot
from genvis.checkpoints.registry import DEFAULT_MODEL, DEMO_MODEL, find_entry, registry
from genvis.errors import InputError
from genvis.json_values import shown
from genvis.video import open_source

POSTER_WIDTH = 240
FOR_EVER = "private, max-age=31536000, immutable"


def library_routes(desk: Desk) -> list[Route]:
    """Return the routes."""

    async def everything(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(_everything, desk))

    async def events(request: Request) -> Response:
        if desk.events.is_full:
            return JSONResponse({"error": "Too many pages are open: close some of them."}, 503)
        return StreamingResponse(desk.events.stream(), media_type="text/event-stream")

    async def upload(request: Request) -> Response:
        if request.headers.get("content-type", "") != "application/octet-stream":
            return JSONResponse({"error": "An upload is the bytes of one video, as application/octet-stream."}, 415)
        length = request.headers.get("content-length")
        try:
            path = await receive_video(
                desk.library,
                request.query_params.get("name", ""),
                request.stream(),
                length=None if length is None else int(length),
                most=desk.most_upload,
            )
        except UploadTooLargeError as error:
            return JSONResponse({"error": str(error)}, 413, headers={"connection": "close"})
        desk.library.forget()
        desk.events.tell("library", {})
        videos = await run_in_threadpool(desk.library.videos)
        return JSONResponse(next(_video(video) for video in videos if video.path == path))

    async def poster(request: Request) -> Response:
        video = await run_in_threadpool(desk.video, request.path_params["video"])
        picture = await run_in_threadpool(_poster, video)
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def add_job(request: Request) -> Response:
        body = await body_of(request)
        video = await run_in_threadpool(desk.video, str(body.get("video")))
        model = body.get("model")
        known = find_entry(model) if isinstance(model, str) else None
        own = desk.library.model_folder(model) if isinstance(model, str) else None
        if own is None and (known is None or not (known.is_bundled or known.hub_id)):
            raise InputError(f"There is no model {shown(model)} that can be used at once.")
        options = SegmentOptions.read(body.get("options", {}))
        folder = await run_in_threadpool(desk.library.free_folder, video.path.stem)
        identifier = desk.library.identifier(folder / "result.json")
        work = {
            "video": video.name,
            "model": str(model),
            "model_folder": own,
            "options": options.to_json(),
            "index": f".genvis/index/{identifier}",
            "result_id": identifier,
        }
        try:
            job = desk.queue.add("segment", title=video.name, folder=desk.library.relative(folder), work=work)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return JSONResponse(job_to_page(job), 201)

    async def steer(request: Request) -> Response:
        job = desk.job(request.path_params["job"])
        action = request.path_params["action"]
        if action == "forget":
            desk.queue.forget(job)
            desk.events.tell("forgotten", {"id": job.id})
            return JSONResponse({})
        actions = {"pause": desk.queue.pause, "resume": desk.queue.resume, "cancel": desk.queue.cancel}
        if action not in actions:
            raise NotFoundError("There is no such action.")
        actions[action](job)
        return JSONResponse(job_to_page(job))

    async def file(request: Request) -> Response:
        job = desk.job(request.path_params["job"])
        place = number_in(request.path_params, "number", least=0, most=len(job.outputs) - 1)
        path = desk.library.below(f"{job.folder}/{job.outputs[place]}")
        if job.kind not in ("export", "segment") or not desk.library.holds(path) or not path.is_file():
            raise NotFoundError("That file is not there any more.")
        name = f"{job.title.rpartition('/')[2]}-{path.name}" if job.kind == "export" else path.name
        return FileResponse(path, filename=name, media_type="application/octet-stream")

    return [
        Route("/api/state", everything),
        Route("/api/events", events),
        Route("/api/upload", upload, methods=["PUT"]),
        Route("/api/videos/{video}/poster", poster),
        Route("/api/jobs", add_job, methods=["POST"]),
        Route("/api/jobs/{job}/files/{number}", file),
        Route("/api/jobs/{job}/{action}", steer, methods=["POST"]),
    ]


def _everything(desk: Desk) -> dict[str, Any]:
    library = desk.library
    return {
        "version": __version__,
        "folder": library.root.name,
        "videos": [_video(video) for video in library.videos()],
        "results": [result_to_page(result) for result in library.results()],
        "is_cut": library.is_cut,
        "jobs": [job_to_page(job) for job in desk.queue.jobs()],
        "models": [*_own_models(desk), *_models()],
        "default_model": _default_model(),
        "most_upload": desk.most_upload,
    }


def _video(video: LibraryVideo) -> dict[str, Any]:
    return {"id": video.id, "name": video.name, "size": video.size, "is_images": video.is_images}


def result_to_page(result: LibraryResult) -> dict[str, Any]:
    """Return what the page is told of a result in the list."""
    return {
        "id": result.id,
        "name": result.name,
        "video_name": result.video_name,
        "width": result.width,
        "height": result.height,
        "size": result.size,
        "modified": result.modified,
        "is_corrected": result.is_corrected,
    }


def _models() -> list[dict[str, Any]]:
    models = []
    for entry in registry():
        if not (entry.is_bundled or (entry.hub_id and entry.has_weights)):
            continue
        is_here = entry.is_bundled or (entry.hub_id is not None and cached_snapshot(entry.hub_id) is not None)
        models.append(
            {
                "name": entry.name,
                "family": entry.family,
                "classes": entry.num_categories,
                "trained_on": entry.trained_on,
                "average_precision": entry.average_precision,
                "measured_on": entry.measured_on,
                "size": entry.size_in_bytes,
                "licence": entry.licence,
                "note": entry.note,
                "is_here": is_here,
            }
        )
    return models


def _own_models(desk: Desk) -> list[dict[str, Any]]:
    return [
        {"name": name, "family": "", "note": "A model folder of yours.", "is_here": True, "is_own": True}
        for name in desk.library.models()
    ]


def _default_model() -> str:
    from huggingface_hub import constants

    entry = find_entry(DEFAULT_MODEL)
    is_here = entry is not None and entry.hub_id is not None and cached_snapshot(entry.hub_id) is not None
    return DEMO_MODEL if constants.HF_HUB_OFFLINE and not is_here else DEFAULT_MODEL


def _poster(video: LibraryVideo) -> bytes:
    with open_source(video.path) as source:
        frame = next(iter(source), None)
    if frame is None:
        raise NotFoundError(f"'{video.name}' has no frame that can be decoded.")
    height = max(1, round(POSTER_WIDTH * frame.height / frame.width))
    return jpeg(Image.fromarray(frame.image).resize((POSTER_WIDTH, height), Image.Resampling.BILINEAR))


def jpeg(image: Image.Image, *, quality: int = 88) -> bytes:
    """Return an RGB image as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
