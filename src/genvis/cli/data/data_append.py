"""``genvis data append``: a corrected result becomes part of a training set."""

from functools import partial
from pathlib import Path

from genvis.cli.common.option_types import AsJson


def append(
    result: Path,
    annotations: Path,
    *,
    images: Path = Path("images"),
    video: Path,
    log: Path | None = None,
    name: str | None = None,
    replace: bool = False,
    json: AsJson = False,
) -> None:
    """Add a result to a YouTube-VIS file to train on: its frames as images, its tracks as annotations.

    Args:
        result: The folder of the result, or its result.json.
        annotations: The YouTube-VIS file (JSON); made if it does not exist.
        images: The folder that its file names start from; the frames go into a folder in it.
        video: The video that was segmented.
        log: A log of edits, which are applied first: the corrections made in `genvis app` are in edits.jsonl.
        name: Name of the video in the file. Default: that of the result.
        replace: Take the place of this video's annotations where it is in the file already.
        json: Print JSON for programs.
    """
    from rich.text import Text

    from genvis.cli.common.console import Console, print_json
    from genvis.cli.common.progress_line import live_progress
    from genvis.results.editing.edit_log import replay
    from genvis.results.editing.training_set import append_to_annotations
    from genvis.results.formats.genvis_json import load

    corrected = load(result) if log is None else replay(result, log)
    with live_progress() as progress:
        appended = append_to_annotations(
            corrected,
            annotations,
            images=images,
            video=video,
            name=name,
            replace=replace,
            progress=partial(progress, "Writing frames"),
        )
    if json:
        print_json(
            {
                "annotations": str(appended.annotations),
                "video": appended.name,
                "frames": appended.frames,
                "objects": appended.objects,
                "masks": appended.masks,
                "new_categories": list(appended.new_categories),
                "replaced": appended.replaced,
                "commands": list(appended.commands),
            }
        )
        return
    console = Console(highlight=False)
    console.print(Text(str(appended.annotations), style="bold"), soft_wrap=True)
    done = "replaced" if appended.replaced else "added"
    counts = f"{appended.frames:,} frames, {appended.objects:,} objects, {appended.masks:,} masks"
    console.print(Text(f"{appended.name} {done}: {counts}"))
    if appended.new_categories:
        console.print(Text(f"New categories: {', '.join(appended.new_categories)}"))
    console.print(Text("Train on it with\n  " + "\n  ".join(appended.commands)), soft_wrap=True)
