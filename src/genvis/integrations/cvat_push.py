"""Results as tracks in a task of a CVAT server, through CVAT's own SDK."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from genvis.data.convert.cvat.part_tracks import Keyframe, follow_parts, keyframes
from genvis.errors import InputError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from cvat_sdk import Client
    from cvat_sdk.models import LabeledTrackRequest

    from genvis.results.types import Track, VideoResult


@dataclass(frozen=True)
class PushedTracks:
    """What was sent.

    Attributes:
        task: Number of the task.
        objects: Objects of the result that have a mask in a frame of the task.
        tracks: Tracks of polygons, one for each part of an object.
        keyframes: Polygons.
        frames_outside: Frames of the result that the task does not have.
    """

    task: int
    objects: int
    tracks: int
    keyframes: int
    frames_outside: int


class _Task(NamedTuple):
    """A task of the server.

    Attributes:
        labels: Name -> number.
        first: Frame of the video that is frame 0 of the task.
        step: Every how many frames of the video the task has one.
        frames: Frames of the task.
        size: Height and width of its frames; None if the server does not tell.
    """

    labels: dict[str, int]
    first: int
    step: int
    frames: int
    size: tuple[int, int] | None

    def frame(self, index: int) -> int | None:
        """Return the task's number of a frame of the video; None if it does not have it."""
        number, rest = divmod(index - self.first, self.step)
        return number if rest == 0 and 0 <= number < self.frames else None


@contextmanager
def cvat_client(
    *, server: str | None = None, organization: str | None = None, profile: str | None = None
) -> "Iterator[Client]":
    """Connect to a CVAT server as its own command line does.

    The access token is that of the environment (``CVAT_ACCESS_TOKEN``) or of a profile saved by ``cvat-cli``.

    Args:
        server: Address, for example ``https://app.cvat.ai``. None takes the profile's, or http://localhost.
        organization: Short name of the organization. None takes the user's own workspace.
        profile: Name of a saved profile. None takes the one that is set as default.

    Raises:
        MissingExtraError: If cvat-sdk is not installed.
        InputError: If there is no token, or the server refuses it or a request.
        OutputError: If the server cannot be reached.
    """
    try:
        from cvat_sdk.core import auth
        from cvat_sdk.core.exceptions import CvatSdkException
    except ModuleNotFoundError as error:
        raise MissingExtraError("cvat_sdk", "cvat") from error
    import os

    if profile is None and not os.environ.get(auth.CVAT_ACCESS_TOKEN_ENV_VAR):
        store = auth.AuthStore()
        if server is not None or store.get_default_profile() is None:
            raise InputError(
                f"There is no access token: set {auth.CVAT_ACCESS_TOKEN_ENV_VAR}, or save a profile with `cvat-cli "
                "profile create` and name it with --profile."
            )
    with _server_errors_as_ours(server):
        try:
            parameters = auth.ClientAuthParameters(profile=profile, server_host=server, organization=organization)
            client = auth.make_client_from_cli(parameters)
        except CvatSdkException as error:
            raise InputError(f"There is no connection to CVAT: {error}.") from None
        with client:
            yield client


def push_result(
    client: "Client",
    task: int,
    result: "VideoResult",
    *,
    tolerance: float = 0.98,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PushedTracks:
    """Write the tracks of a result into a task that was made of the same video.

    Every connected part of an object is a track of polygons; the parts have the track id as their group.

    Args:
        client: Connected, as by :func:`cvat_client`.
        task: Number of the task.
        result: The result.
        tolerance: Lowest IoU of a mask with its polygons, as in `genvis data convert to-cvat`.
        replace: Remove all annotations of the task first.
        progress: Called with the number of objects that were turned into polygons, and their total.

    Returns:
        What was sent.

    Raises:
        InputError: If there is no such task, or its labels, frames or size do not fit the result.
        OutputError: If the server does not answer.
    """
    if not 0 < tolerance <= 1:
        raise InputError(f"--tolerance is {tolerance}; it is an IoU, above 0 and up to 1.")
    with _server_errors_as_ours(client.api_map.host, task=task):
        place = _read_task(client, task)
        _check_task(place, task, result)
        numbers = [place.frame(stamp.index) for stamp in result.frames]
        requests: list[LabeledTrackRequest] = []
        objects = 0
        for done, track in enumerate(result.tracks, start=1):
            made = _requests(track, place.labels[track.label], numbers, tolerance=tolerance)
            requests += made
            objects += bool(made)
            progress(done, len(result.tracks))
        _send(client, task, requests, replace=replace)
    return PushedTracks(
        task=task,
        objects=objects,
        tracks=len(requests),
        keyframes=sum(len(request.shapes) for request in requests),
        frames_outside=numbers.count(None),
    )


def _read_task(client: "Client", task: int) -> _Task:
    entry = client.tasks.retrieve(task)
    meta = entry.get_meta()
    step = re.fullmatch(r"\s*step\s*=\s*([1-9]\d*)\s*", meta.frame_filter or "")
    frames = meta.frames or []
    return _Task(
        labels={label.name: label.id for label in entry.get_labels()},
        first=meta.start_frame,
        step=int(step[1]) if step else 1,
        frames=meta.size,
        size=(frames[0].height, frames[0].width) if frames else None,
    )


def _check_task(place: _Task, task: int, result: "VideoResult") -> None:
    missing = sorted({track.label for track in result.tracks} - set(place.labels))
    if missing:
        raise InputError(
            f"Task {task} has no label {', '.join(map(repr, missing))}: add it in CVAT, or give those tracks another "
            f"class; it has {', '.join(place.labels) or 'none'}."
        )
    if place.size not in (None, (result.height, result.width)):
        height, width = place.size or (0, 0)
        raise InputError(
            f"The frames of task {task} are {width}x{height}, those of '{result.name}' {result.width}x{result.height}: "
            "this is another video."
        )
    if all(place.frame(stamp.index) is None for stamp in result.frames):
        last = place.first + place.step * (place.frames - 1)
        raise InputError(
            f"Task {task} has frames {place.first} to {last} of its video, step {place.step}, and '{result.name}' none "
            "of them: this is another part of the video."
        )


def _requests(
    track: "Track", label: int, numbers: list[int | None], *, tolerance: float
) -> "list[LabeledTrackRequest]":
    """Return the tracks of polygons of one object, in the frames of the task."""
    from cvat_sdk.models import LabeledTrackRequest, TrackedShapeRequest

    kept = [(number, mask) for number, mask in zip(numbers, track.masks, strict=True) if number is not None]
    frames = [number for number, _ in kept]
    masks = {place: mask for place, (_, mask) in enumerate(kept) if mask is not None and mask.area}

    def shape(keyframe: Keyframe) -> TrackedShapeRequest:
        return TrackedShapeRequest(
            type="polygon",
            frame=frames[keyframe.position],
            outside=keyframe.outside,
            occluded=False,
            z_order=0,
            points=keyframe.polygon.ravel().tolist(),
        )

    requests = []
    for part in follow_parts(masks, tolerance=tolerance):
        shapes = [shape(keyframe) for keyframe in keyframes(part, length=len(frames), tolerance=tolerance)]
        requests.append(
            LabeledTrackRequest(label_id=label, frame=shapes[0].frame, group=track.id, source="auto", shapes=shapes)
        )
    return requests


def _send(client: "Client", task: int, tracks: "list[LabeledTrackRequest]", *, replace: bool) -> None:
    from cvat_sdk.models import LabeledDataRequest, PatchedLabeledDataRequest

    if replace:
        data = LabeledDataRequest(tags=[], shapes=[], tracks=tracks)
        client.tasks.api.update_annotations(task, labeled_data_request=data)
    else:
        patch = PatchedLabeledDataRequest(tags=[], shapes=[], tracks=tracks)
        client.tasks.api.partial_update_annotations("create", task, patched_labeled_data_request=patch)


@contextmanager
def _server_errors_as_ours(server: str | None, *, task: int | None = None) -> Iterator[None]:
    """Turn what the SDK raises into one sentence; the token is in none."""
    from cvat_sdk.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    where = f"'{server}'" if server else "the CVAT server"
    try:
        yield
    except ApiException as error:
        status = error.status
        if status == 404 and task is not None:
            raise InputError(f"{where} has no task {task}, or does not show it to you.") from None
        if status in (401, 403):
            raise InputError(f"{where} refuses the access token (status {status}): check it, and its rights.") from None
        raise OutputError(f"{where} refused the request (status {status}, {error.reason}).") from None
    except (HTTPError, OSError) as error:
        raise OutputError(f"{where} does not answer ({type(error).__name__}): check the address.") from None
