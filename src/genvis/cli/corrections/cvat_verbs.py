"""``genvis cvat``: results to a CVAT server."""

from functools import partial
from pathlib import Path

from cyclopts import App

app = App(name="cvat", help="Write a result into a task of a CVAT server.")


@app.command
def push(
    task: int,
    result: Path,
    *,
    log: Path | None = None,
    server: str | None = None,
    organization: str | None = None,
    profile: str | None = None,
    tolerance: float = 0.98,
    replace: bool = False,
) -> None:
    """Write the tracks of a result into a task that was made of the same video with the same labels.

    The access token is taken from the environment (CVAT_ACCESS_TOKEN) or from a profile saved by `cvat-cli`. Each
    connected part of an object becomes a track of polygons; the parts of one object have its id as their group.

    Args:
        task: Number of the task.
        result: The folder of the result, or its result.json.
        log: A log of edits, which are applied first.
        server: Address, for example https://app.cvat.ai. Default: the profile's, or http://localhost.
        organization: Short name of the organization. Default: your own workspace.
        profile: Name of a profile saved by `cvat-cli`. Default: the one that is set as default there.
        tolerance: Lowest IoU of a mask with its polygons. Less gives fewer corners and keyframes.
        replace: Remove all annotations of the task first.
    """
    from genvis.cli.common.progress_line import live_progress
    from genvis.integrations.cvat_push import cvat_client, push_result
    from genvis.results.editing.edit_log import replay
    from genvis.results.formats.genvis_json import load

    corrected = load(result) if log is None else replay(result, log)
    with cvat_client(server=server, organization=organization, profile=profile) as client, live_progress() as progress:
        pushed = push_result(
            client,
            task,
            corrected,
            tolerance=tolerance,
            replace=replace,
            progress=partial(progress, "Drawing polygons"),
        )
    counts = f"{pushed.objects:,} objects as {pushed.tracks:,} tracks with {pushed.keyframes:,} polygons"
    print(f"Task {pushed.task}: {counts}.")
    if pushed.frames_outside:
        print(f"note  Frames of the result that the task does not have, left out: {pushed.frames_outside:,}.")
