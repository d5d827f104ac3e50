"""``genvis predict``: videos in, annotated videos and result files out."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.model.genvis import GenVIS

Output = Literal["youtube_vis", "mots", "pngs", "video", "contact_sheet"]
DEFAULT_MODEL = "sprites-tiny"


def predict(
    sources: list[str],
    *,
    out: Path = Path("out"),
    weights: str = DEFAULT_MODEL,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    clip_length: int | None = None,
    resolution: int | None = None,
    score_threshold: float = 0.3,
    detections: int | None = None,
    all_labels: bool = False,
    classes: list[str] | None = None,
    memory_clips: int | None = None,
    start: int = 0,
    stop: int | None = None,
    stride: int = 1,
    live: bool = False,
    session: Path | None = None,
    timeout: float = 10.0,
    reconnect: int = 5,
    outputs: list[Output] | None = None,
    overlaps: Literal["resolve", "keep"] = "resolve",
    tracker: Literal["propagation", "offline", "queries", "clip_queries"] | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> int:
    """Segment videos and write, for each, a folder with an annotated video, a contact sheet and result files.

    Args:
        sources: Video files, folders or patterns of images, camera numbers, rtsp:// or http:// addresses, or - for a
            list on standard input.
        out: Folder for the outputs; each video gets a folder of its name in it.
        weights: A bundled model, a model folder, a published .pth file, or a Hub id.
        device: auto, cpu, cuda, cuda:1, mps ...
        dtype: Number format of the network. The lower ones are for GPUs.
        clip_length: Frames that the network sees together: 1 is online, more is semi-online. Default: the model's.
        resolution: Frames are resized so that the shorter side has this many pixels. Default: the model's.
        score_threshold: Objects with a lower score are dropped.
        detections: How many objects are selected at most. Default: the model's number.
        all_labels: Let an object appear under several classes, as the evaluation of the data sets does.
        classes: Only these classes, by name: --classes cat,dog
        memory_clips: How many past clips the memory keeps. Default: all.
        start: First frame to take, from 0.
        stop: First frame not to take.
        stride: Take every how many frames.
        live: Answer frame by frame without looking ahead, as with cameras and streams, where this is always so.
        session: With live: continue the identities of this file if it exists, and save them to it.
        timeout: Seconds without a frame after which a stream or camera counts as stalled.
        reconnect: How often in a row a stream or camera that stalls or drops is connected to again, after pauses of 1,
            2, 4, ... at most 30 seconds, with the same identities. 0 gives up at once.
        outputs: Which files besides result.json: youtube_vis,mots,pngs,video,contact_sheet. Default: youtube_vis,
            video and contact_sheet.
        overlaps: resolve gives every pixel to one track and drops duplicates, in files and pictures alike; keep keeps
            all masks, as the evaluation of the data sets does.
        tracker: Method that follows the objects: propagation (GenVIS, VidEoMT), offline (VITA), queries (MinVIS).
            Default: the one that the model was made for.
        overwrite: Replace results that are there already.
        resume: Continue where an interrupted run stopped, and skip what is finished.
    """
    from rich.console import Console

    from genvis.cli.prediction_loop import PredictionLoop
    from genvis.files import make_folder
    from genvis.inference.jobs import PredictionOptions
    from genvis.inference.segmenter import VideoSegmenter
    from genvis.video import expand_sources

    if overwrite and resume:
        raise InputError("--overwrite and --resume contradict each other: give one of them.")
    if timeout <= 0:
        raise InputError(f"--timeout is {timeout:g}; it must be more than 0 seconds.")
    if session is not None and not live:
        raise InputError("--session keeps identities over live runs: add --live.")
    videos = expand_sources(sources)
    make_folder(out)
    segmenter = VideoSegmenter(
        load_model(weights, device=device, dtype=dtype),
        clip_length=clip_length,
        resolution=resolution,
        tracker=tracker,
        memory_clips=memory_clips,
        classes=classes,
    )
    options = PredictionOptions(
        outputs=tuple(outputs) if outputs is not None else ("youtube_vis", "video", "contact_sheet"),
        detections=detections,
        score_threshold=score_threshold,
        all_labels=all_labels,
        overlaps=overlaps,
        overwrite=overwrite,
        resume=resume,
    )
    loop = PredictionLoop(
        segmenter=segmenter,
        out=out,
        options=options,
        console=Console(),
        live=live,
        session=session,
        timeout=timeout,
        reconnect=reconnect,
    )
    return loop.run(videos, start=start, stop=stop, stride=stride)


def load_model(weights: str, *, device: str, dtype: str) -> "GenVIS":
    """Load a model, move it, and say what it is.

    Raises:
        InputError: If there is no such model, device or number format.
    """
    from genvis.checkpoints.load import load_genvis

    return to_device(load_genvis(weights), device=device, dtype=dtype)


def to_device(model: "GenVIS", *, device: str, dtype: str) -> "GenVIS":
    """Move a model.

    Raises:
        InputError: If there is no such device.
    """
    import torch

    if device == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = accelerator.type if accelerator else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError):
        raise InputError(f"There is no device '{device}' on this machine: use --device auto or cpu.") from None
    # The typed `to`: transformers' own only adds a guard for quantised models.
    torch.nn.Module.to(model, device=place, dtype=getattr(torch, dtype))
    return model


COMPONENTS = predict
