"""``genvis predict``: videos in, annotated videos and result files out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from genvis.checkpoints.registry import DEFAULT_MODEL
from genvis.cli.common.option_types import AsJson, Place, Words
from genvis.errors import InputError
from genvis.inference.trackers.choose import TrackerName
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions

if TYPE_CHECKING:
    from genvis.scaling.shards import Shard
    from genvis.storage.stores import Store
    from genvis.video import NamedSource

EMOJI_MODEL = "sprites-tiny"

# Panels of the help, in the order in which people need them.
_INPUT = Parameter(group=Group("Input and output", sort_key=1))
_SELECTION = Parameter(group=Group("Selection of objects", sort_key=2))
_RUN = Parameter(group=Group("How the model is run", sort_key=3))
_LIVE = Parameter(group=Group("Cameras and streams", sort_key=4))
_MANY = Parameter(group=Group("Many videos", sort_key=5))
_MATCHING = Parameter(group=Group("Tracker 'memory'", sort_key=6))
_ARCHIVE = Parameter(group=Group("Archive of track ids", sort_key=7))


def predict(
    sources: Annotated[list[str], _INPUT],
    *,
    out: Annotated[Place, _INPUT] = "out",
    weights: Annotated[str, _INPUT] = DEFAULT_MODEL,
    device: Annotated[str, _RUN] = "auto",
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], _RUN] = "float32",
    runtime: Annotated[Literal["torch", "onnxruntime", "openvino"] | None, _RUN] = None,
    cuda_graphs: Annotated[Literal["auto", "off"], _RUN] = "auto",
    tracker: Annotated[TrackerName | None, _RUN] = None,
    matching: Annotated[MemoryMatchingOptions | None, _MATCHING] = None,
    occupancy_weighted: Annotated[bool, _RUN] = False,
    archive: Annotated[ArchiveOptions | None, _ARCHIVE] = None,
    clip_length: Annotated[int | Literal["auto"] | None, _RUN] = None,
    longest_clip: Annotated[int | None, _RUN] = None,
    resolution: Annotated[int | None, _RUN] = None,
    memory_clips: Annotated[int | None, _RUN] = None,
    classes: Annotated[Words | None, _SELECTION] = None,
    score_threshold: Annotated[float, _SELECTION] = 0.3,
    detections: Annotated[int | None, _SELECTION] = None,
    all_labels: Annotated[bool, _SELECTION] = False,
    overlaps: Annotated[Literal["resolve", "keep"], _SELECTION] = "resolve",
    start: Annotated[int, _INPUT] = 0,
    stop: Annotated[int | None, _INPUT] = None,
    stride: Annotated[int, _INPUT] = 1,
    live: Annotated[bool, _LIVE] = False,
    session: Annotated[Path | None, _LIVE] = None,
    timeout: Annotated[float, _LIVE] = 10.0,
    reconnect: Annotated[int, _LIVE] = 5,
    shard: Annotated[str | None, _MANY] = None,
    skip_finished: Annotated[bool, _MANY] = False,
    time_limit: Annotated[float | None, _MANY] = None,
    on: Annotated[Literal["ray"] | None, _MANY] = None,
    address: Annotated[str | None, _MANY] = None,
    actors: Annotated[int | None, _MANY] = None,
    gpus_per_actor: Annotated[float | None, _MANY] = None,
    outputs: Annotated[Words | None, _INPUT] = None,
    overwrite: Annotated[bool, _INPUT] = False,
    resume: Annotated[bool, _INPUT] = False,
    json: Annotated[AsJson, _INPUT] = False,
) -> int:
    """Segment videos and write, for each, a folder with an annotated video, a contact sheet and result files.

    Args:
        sources: Video files, folders or patterns of images, camera numbers, rtsp:// or http:// addresses, videos,
            folders or patterns in a store (s3://bucket/day1/*.mp4), or - for a list on standard input.
        out: Folder for the outputs, here or in a store; each video gets a folder of its name in it.
        weights: A name that `genvis models` lists, a model folder, a published .pth file, a Hub id, the folder of
            an export, or a folder or file in a store.
        device: auto, cpu, cuda, cuda:1, mps ...
        dtype: Of the network. The lower ones are for GPUs.
        runtime: What runs the network: torch, onnxruntime or openvino. For these two a model is exported first, for
            the size of each video; `genvis export` does that once and for all. Default: torch; for an export its own.
        cuda_graphs: auto launches the kernels of the network as a whole where it runs on an NVIDIA GPU: the same
            results in a fraction of the time, for some memory.
        tracker: Method that follows the objects: propagation (GenVIS, VidEoMT), offline (VITA), memory (no training:
            detections are matched with a memory of every track) or queries (MinVIS). Default: the one that the model
            was made for; memory for models that only detect.
        matching: Options of the tracker memory.
        occupancy_weighted: With propagation: renew a query only as far as it holds an object, for fewer id switches.
        archive: Of objects that left, so that any number of track ids pass through the queries of the network and who
            comes back gets the old id. Default: on in live runs, off for whole videos; giving any of these options
            turns it on, --archive.size 0 off.
        clip_length: Frames that the network sees together: 1 is online, more is semi-online; auto takes as many as
            --longest-clip says and cuts at scene changes, over which no track goes on. Default: the model's.
        longest_clip: With --clip-length auto: frames of a clip at most. Default: 7.
        resolution: Frames are resized so that the shorter side has this many pixels. Default: the model's.
        memory_clips: How many past clips the memory of GenVIS keeps. Default: all, and 500 in live runs.
        classes: Only these classes, by name: --classes cat,dog
        score_threshold: Objects with a lower score are dropped.
        detections: How many objects are selected at most. Default: the model's number.
        all_labels: Let an object appear under several classes, as the evaluation of the data sets does.
        overlaps: resolve gives every pixel to one object and drops duplicates, in files and pictures alike; keep keeps
            all masks, as the evaluation of the data sets does.
        start: First frame to take, from 0.
        stop: First frame not to take.
        stride: Take every how many frames.
        live: Answer frame by frame without looking ahead, as with cameras and streams, where this is always so.
        session: With --live: continue the track ids of this file if it exists, and save them to it.
        timeout: Seconds without a frame after which a stream or camera counts as stalled.
        reconnect: How often in a row a stream or camera that stalls or drops is connected to again, after pauses of 1,
            2, 4, ... at most 30 seconds, with the same track ids. 0 gives up at once.
        shard: Do one share of the videos: 3/64, or auto for the number of this task in a Slurm array or an indexed
            Kubernetes Job. A video's share depends on where it is alone. Implies --skip-finished, unless --overwrite is
            given.
        skip_finished: Leave videos alone that are finished, continue interrupted ones, and go on whatever one fails of.
            `genvis status OUT` says what is missing.
        time_limit: Seconds that a video may take before it counts as failed.
        on: ray does the videos on a Ray cluster, each actor with the model; implies --skip-finished, unless --overwrite
            is given. Weights, videos and the output folder must be seen by all its machines.
        address: Of the Ray cluster, or auto for the one of this machine. Default: one that is started here.
        actors: How many Ray actors at most. Default: as many as there is room for.
        gpus_per_actor: GPUs of each Ray actor, also parts of one. Default: 1 where the cluster has any.
        outputs: Which files besides result.json: youtube_vis, mots, pngs, csv, parquet, video, contact_sheet. Default:
            youtube_vis,video,contact_sheet
        overwrite: Replace results that are there already.
        resume: Continue where an interrupted run stopped, and skip what is finished.
        json: Print a line of JSON for each video, as soon as it is done, instead of tables.
    """
    if overwrite and resume:
        raise InputError("--overwrite and --resume contradict each other: give one of them.")
    if overwrite and skip_finished:
        raise InputError("--overwrite and --skip-finished contradict each other: give one of them.")
    if not timeout > 0:
        raise InputError(f"--timeout is {timeout:g}; it must be more than 0 seconds.")
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"--time-limit is {time_limit:g}; it must be more than 0 seconds.")
    if session is not None and not live:
        raise InputError("--session keeps track ids over live runs: add --live.")
    if live and shard is not None:
        raise InputError("--live is for one stream after the other, and --shard for many files: give one of them.")
    if on is None and (address, actors, gpus_per_actor) != (None, None, None):
        raise InputError("--address, --actors and --gpus-per-actor are about Ray: add --on ray.")
    if on is not None and (live or shard is not None):
        raise InputError("--on ray divides the videos itself, and does files: leave --shard and --live out.")
    from genvis.storage.stores import open_store

    store = open_store(out)
    share = None if shard is None else _shard(shard, store)
    videos = _named(sources)
    from genvis.checkpoints.hub import check_name
    from genvis.cli.common.console import Console
    from genvis.files import make_folder
    from genvis.results.output_names import output_names

    wanted = output_names(outputs)
    check_name(weights)
    local = store.local("")
    if local is not None:
        make_folder(local)
    # The heavy libraries are loaded when all that can be refused at once was looked at.
    from genvis.cli.common.prediction_loop import PredictionLoop
    from genvis.cli.many_videos.ray_run import run_on_ray
    from genvis.inference.jobs import PredictionOptions
    from genvis.inference.model_loading import load_model
    from genvis.inference.segmenter import VideoSegmenter

    console = Console(stderr=json)
    if weights == EMOJI_MODEL:
        console.print(
            f"Note: '{EMOJI_MODEL}' knows emoji of animals and vehicles only; for real videos leave --weights out.",
            highlight=False,
            soft_wrap=True,
        )
    how: dict[str, Any] = {
        "tracker": tracker,
        "clip_length": clip_length,
        "longest_clip": longest_clip,
        "resolution": resolution,
        "matching": matching,
        "occupancy_weighted": occupancy_weighted,
        "archive": archive,
        "memory_clips": memory_clips,
        "classes": classes,
        "cuda_graphs": cuda_graphs,
    }
    options = PredictionOptions(
        outputs=wanted,
        detections=detections,
        score_threshold=score_threshold,
        all_labels=all_labels,
        overlaps=overlaps,
        overwrite=overwrite,
        resume=resume,
    )
    if on is not None:
        from genvis.scaling.ray_pool import RayPool
        from genvis.scaling.ray_prediction import PredictionJob
        from genvis.video import FrameRange

        job = PredictionJob(
            weights=weights,
            out=out if local is None else str(local.absolute()),
            options=options,
            frames=FrameRange(start, stop, stride),
            device=device,
            dtype=dtype,
            runtime=runtime,
            run=how,
            time_limit=time_limit,
        )
        return run_on_ray(job, videos, pool=RayPool(address, actors, gpus_per_actor), console=console, as_json=json)
    loop = PredictionLoop(
        segmenter=VideoSegmenter(
            load_model(
                weights,
                device=device,
                dtype=dtype,
                runtime=runtime,
                on_export=lambda sentence: console.print(sentence, highlight=False, soft_wrap=True),
            ),
            **how,
        ),
        out=store if local is None else local,
        options=options,
        console=console,
        live=live,
        session=session,
        timeout=timeout,
        reconnect=reconnect,
        as_json=json,
        shard=share,
        skip_finished=skip_finished or (share is not None and not overwrite),
        time_limit=time_limit,
    )
    return loop.run(videos, start=start, stop=stop, stride=stride)


def _shard(text: str, store: "Store") -> "Shard":
    """Return the share that was asked for; Slurm arrays that name some tasks again continue an earlier numbering."""
    from genvis.scaling.job_list import read_head
    from genvis.scaling.shards import parsed_shard

    head = read_head(store) if text == "auto" else None
    return parsed_shard(text, known=(head.shards, head.first) if head else None)


def _named(sources: Sequence[str]) -> "list[NamedSource]":
    """Return the videos that were named.

    Raises:
        InputError: If there is none, or none of them exists.
    """
    from genvis.video import expand_sources
    from genvis.video.sources.opening import missing_files

    videos = expand_sources(sources)
    missing = missing_files(videos)
    if len(missing) == len(videos):
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(f"There is no file or folder {', '.join(map(repr, missing[:3]))}{more}: check the path.")
    return videos
