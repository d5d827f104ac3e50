"""``genvis eval``: score results against annotations."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from genvis.cli.common.option_types import AsJson, Out
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.data.annotations.video_annotations import VideoAnnotations
    from genvis.inference.trackers.choose import TrackerName
    from genvis.scaling.ray_pool import RayPool


def evaluate(
    results: Path | None = None,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    weights: str | None = None,
    device: str = "auto",
    tracker: Literal["propagation", "offline", "memory", "queries", "clip_queries"] | None = None,
    clip_length: int | Literal["auto"] | None = None,
    longest_clip: int | None = None,
    resolution: int | None = None,
    detections: int | None = None,
    out: Out | None = None,
    errors: Annotated[bool, Parameter(negative="--no-errors")] = True,
    identity: bool = False,
    score_threshold: float = 0.3,
    worst: int = 5,
    workers: int | None = None,
    submission: Path | None = None,
    on: Literal["ray"] | None = None,
    address: str | None = None,
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    json: AsJson = False,
) -> None:
    """Score results, or a model, as the servers of YouTube-VIS and OVIS do, and say which errors cost most.

    Prints AP, AP50, AP75, AR1, AR10, by size, by category and, where the annotations have it, by occlusion; the AP that
    each kind of error costs; and the worst videos.

    Args:
        results: The results file (JSON): a list of video_id, category_id, score and segmentations. Left out with
            --weights, which makes the results first: OUT/results.json, and OUT/submission.zip for the servers. The
            same command continues after an interruption; a folder with results of other weights, annotations, images
            or settings is refused.
        annotations: The annotation file of YouTube-VIS or OVIS, or of the same format.
        images: The folder that the file names of the annotations start from, for pictures in the report and the model.
        weights: Run this model: a bundled name, a model folder, a published .pth file, or a Hub id.
        device: Where the model runs: auto, cpu, cuda, mps ...
        tracker: Method that follows the objects, as of ``genvis predict``: MinVIS is queries. Default: the model's own.
        clip_length: Frames that the model sees together; auto cuts them at scene changes. Default: the model's.
        longest_clip: With --clip-length auto: frames of a clip at most. Default: 7.
        resolution: Frames are resized so that the shorter side has this many pixels. Default: the model's.
        detections: How many pairs of object and category the model gives per video. Default: the model's number.
        out: Folder for the report: report.html, with pictures if there are images, and report.json.
        errors: Find out which kind of error costs how much AP: missed, classification, localization, id switch ...
        identity: Also print HOTA, IDF1 and id switches (needs the extra "eval").
        score_threshold: Detections below this score are left out of these tracking metrics, and of pictures.
        worst: How many of the worst videos the report shows pictures of.
        workers: Processes to use, on Linux. Default: one per processor if there is much to do.
        submission: Also pack the results for a server into this zip file.
        on: ray runs the model on a Ray cluster, which must see annotations, images and the output folder.
        address: Of the Ray cluster, or auto. Default: one that is started here.
        actors: How many Ray actors at most. Default: as many as there is room for.
        gpus_per_actor: GPUs of each Ray actor, also parts of one. Default: 1 where the cluster has any.
        json: Print the whole report as JSON instead of tables.
    """
    if annotations is None:
        raise InputError("The annotations are missing: add --annotations FILE.json.")
    _check_places(results, images, out, weights=weights)
    pool = _pool(on, address, actors, gpus_per_actor, weights=weights)
    if worst < 0:
        raise InputError(f"--worst is {worst}: give 0 or more.")
    from genvis.cli.common.console import Console, print_json
    from genvis.cli.common.progress_line import live_progress
    from genvis.data.annotations.youtube_vis import load_youtube_vis
    from genvis.evaluation.evaluate import evaluate as evaluate_results
    from genvis.evaluation.metrics.tracking import TrackingMetrics
    from genvis.evaluation.report.report_folder import check_images, write_report
    from genvis.evaluation.report.report_tables import print_report
    from genvis.evaluation.results_file import load_results
    from genvis.evaluation.submission import write_submission
    from genvis.files import make_folder

    console = Console(stderr=json)
    # What would fail at the end fails now.
    if out is not None:
        make_folder(out)
    if submission is not None:
        make_folder(submission.parent)
    if identity:
        TrackingMetrics(score_threshold)
    truth = load_youtube_vis(annotations)
    truth.require_objects()
    if images is not None:
        check_images(truth, images)
    if weights is not None and images is not None and out is not None:
        results = _run_model(
            truth,
            images,
            out,
            weights=weights,
            device=device,
            tracker=tracker,
            clip_length=clip_length,
            longest_clip=longest_clip,
            resolution=resolution,
            detections=detections,
            pool=pool,
        )
        submission = submission or out / "submission.zip"
    assert results is not None
    found = load_results(results, truth)
    with live_progress() as show:
        report = evaluate_results(
            found,
            truth,
            errors=errors,
            identity=identity,
            score_threshold=score_threshold,
            workers=workers,
            progress=lambda done, total: show("videos", done, total),
        )
    if json:
        print_json(report.to_json())
    else:
        print_report(report, console)
    if out is not None:
        page = write_report(
            report, out, annotations=truth, results=found, images=images, worst=worst, threshold=score_threshold
        )
        console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
    if submission is not None:
        write_submission(results, submission)
        console.print(f"Submission: {submission}", markup=False, highlight=False, soft_wrap=True)


def _check_places(results: Path | None, images: Path | None, out: Path | None, *, weights: str | None) -> None:
    """Refuse places that are missing, or that contradict each other."""
    if (results is None) == (weights is None):
        raise InputError("Give a results file, or --weights for a model to run: one of them, not both.")
    if weights is not None and (images is None or out is None):
        raise InputError("--weights needs --images ROOT to read the videos from, and -o FOLDER for the results.")
    if images is not None and out is None:
        raise InputError("--images is for the pictures of the report: add -o FOLDER to write one.")


def _pool(
    on: str | None, address: str | None, actors: int | None, gpus_per_actor: float | None, *, weights: str | None
) -> "RayPool | None":
    """Return the cluster that was asked for, or None."""
    if on is None:
        if (address, actors, gpus_per_actor) != (None, None, None):
            raise InputError("--address, --actors and --gpus-per-actor are about Ray: add --on ray.")
        return None
    if weights is None:
        raise InputError("--on ray runs a model: add --weights.")
    from genvis.scaling.ray_pool import RayPool

    return RayPool(address, actors, gpus_per_actor)


def _run_model(
    truth: "VideoAnnotations",
    images: Path,
    out: Path,
    *,
    weights: str,
    device: str,
    tracker: "TrackerName | None",
    clip_length: int | Literal["auto"] | None,
    longest_clip: int | None,
    resolution: int | None,
    detections: int | None,
    pool: "RayPool | None",
) -> Path:
    from genvis.cli.common.progress_line import live_progress
    from genvis.evaluation.run_model import chosen_classes, common_categories, run_model
    from genvis.inference.model_loading import load_model
    from genvis.inference.segmenter import VideoSegmenter

    model = load_model(weights, device="cpu" if pool else device)
    labels = model.config.categories
    classes = chosen_classes(common_categories(labels, truth.categories, file=truth.path), labels)
    how = {
        "tracker": tracker,
        "clip_length": clip_length,
        "longest_clip": longest_clip,
        "resolution": resolution,
        "classes": classes,
    }
    engine = None
    if pool is not None:
        from genvis.cli.common.console import Console
        from genvis.scaling.ray_evaluation import EvaluationJob, engine_on_ray

        job = EvaluationJob(weights, str(truth.path), str(images), str(out), device, detections, how)
        engine = engine_on_ray(job, pool=pool, console=Console(stderr=True))
    # On Ray the table of the actors shows how far they are.
    with live_progress() if engine is None else nullcontext(lambda *_: None) as show:
        return run_model(
            VideoSegmenter(model, **how),  # type: ignore[arg-type]  # checked by its own signature
            truth,
            images=images,
            folder=out,
            detections=detections,
            on_video=lambda done, total: show("segmenting videos", done, total),
            engine=engine,
        )
