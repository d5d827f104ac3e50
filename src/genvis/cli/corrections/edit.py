"""``genvis edit``: a result and the log of its corrections become the corrected result."""

from pathlib import Path
from typing import TYPE_CHECKING

from genvis.cli.common.option_types import AsJson, Out, Words
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.results.editing.edit_log import EditLog
    from genvis.results.output_folder import SavedFiles


def edit(
    result: Path,
    log: Path,
    *,
    out: Out,
    outputs: Words | None = None,
    video: Path | None = None,
    json: AsJson = False,
    overwrite: bool = False,
) -> None:
    """Write the corrected result: the edits of a log applied to the original result, which stays as it is.

    Args:
        result: The folder of the original result, or its result.json.
        log: The log of its edits, for example edits.jsonl.
        out: Folder for the corrected result.
        outputs: Which files besides result.json: youtube_vis, mots, pngs, csv, parquet, video, contact_sheet. The last
            two need --video. Default: none.
        video: The video that was segmented, to draw on.
        json: Print JSON for programs.
        overwrite: Replace a result that is there already.
    """
    from genvis.cli.common.console import print_json
    from genvis.files import require_file
    from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, claim, content_stamp
    from genvis.results.editing.edit_log import EditLog
    from genvis.results.formats.genvis_json import RESULT_FILE
    from genvis.results.output_folder import remove_other_outputs, save_result
    from genvis.results.output_names import PICTURES, output_names

    wanted = output_names(tuple(dict.fromkeys(("result", *(outputs or ())))))
    pictures = [name for name in wanted if name in PICTURES]
    if pictures and video is None:
        raise InputError(f"The output '{pictures[0]}' is drawn on the video: name it with --video.")
    original = result / RESULT_FILE if result.is_dir() else result
    target = out / RESULT_FILE
    if target.exists() and original.exists() and target.samefile(original):
        raise InputError(f"'{out}' is the folder of the original result, which is kept: name another one.")
    if target.exists() and not overwrite:
        raise InputError(f"'{out}' holds a result already: add --overwrite to replace it, or name another folder.")
    edits = EditLog(result, require_file(log))
    with claim(out):
        files = save_result(edits.result, out, source=video if pictures else None, outputs=wanted)
        remove_other_outputs(out, wanted)
        origin = Fingerprint("corrected result", original=content_stamp(original), log=content_stamp(log))
        origin.write(out / FINGERPRINT_FILE)
    if json:
        print_json(_as_json(edits, files))
        return
    counts = f"{len(edits.original.tracks)} tracks before, {len(edits.result.tracks)} now"
    print(f"{edits.result.name}: {len(edits.edits)} edits, {counts}.")
    print("\n".join(str(path) for path in files.written()))


def _as_json(edits: "EditLog", files: "SavedFiles") -> dict[str, object]:
    return {
        "name": edits.result.name,
        "frames": len(edits.result),
        "edits": [str(one) for one in edits.edits],
        "tracks_before": len(edits.original.tracks),
        "tracks": [
            {
                "id": track.id,
                "label": track.label,
                "category_id": track.category_id,
                "score": track.score,
                "frames_seen": track.frames_seen,
            }
            for track in edits.result.tracks
        ],
        "files": [str(path) for path in files.written()],
    }
