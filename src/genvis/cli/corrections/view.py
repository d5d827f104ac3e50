"""``genvis view``: a result in another program's viewer."""

from pathlib import Path

from genvis.errors import InputError


def view(
    result: Path,
    *,
    rerun: bool = False,
    fiftyone: bool = False,
    video: Path | None = None,
    log: Path | None = None,
    save: Path | None = None,
) -> None:
    """Show a result in Rerun or FiftyOne, which are installed with `pip install 'genvis[rerun]'` or `[fiftyone]`.

    To watch and correct it in the browser, use `genvis app`.

    Args:
        result: The folder of the result, or its result.json.
        rerun: Show it in Rerun.
        fiftyone: Show it in FiftyOne, which needs --video.
        video: The video that was segmented.
        log: A log of edits, which are applied first.
        save: With --rerun: write the recording (.rrd) instead of opening a viewer.
    """
    if rerun == fiftyone:
        raise InputError("Say where to show it: --rerun or --fiftyone, one of them.")
    if save is not None and not rerun:
        raise InputError("--save writes a recording of Rerun: add --rerun.")
    if fiftyone and video is None:
        raise InputError("FiftyOne shows videos: name the one that was segmented with --video.")
    from genvis.results.editing.edit_log import replay
    from genvis.results.formats.genvis_json import load

    corrected = load(result) if log is None else replay(result, log)
    if rerun:
        from genvis.integrations.rerun_recording import record_in_rerun

        sent = record_in_rerun(corrected, video=video, save=save)
        print(f"{corrected.name}: {sent:,} frames{f' in {save}' if save else ''}.")
        return
    from genvis.integrations.fiftyone_dataset import view_in_fiftyone

    assert video is not None
    session = view_in_fiftyone(corrected, video)
    print(f"{corrected.name} is shown in FiftyOne; close it to end.")
    session.wait()
