"""``genvis eval``: score results against annotations."""

from pathlib import Path

from genvis.errors import InputError


def evaluate(
    results: Path,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    out: Path | None = None,
    errors: bool = True,
    identity: bool = False,
    score_threshold: float = 0.3,
    worst: int = 5,
    workers: int | None = None,
    submission: Path | None = None,
) -> None:
    """Score results as the servers of YouTube-VIS and OVIS do, and say which errors cost most.

    Prints AP, AP50, AP75, AR1, AR10, by size, by class and, where the annotations know, by occlusion; what each kind of
    error costs; and the worst videos.

    Args:
        results: The results file (JSON): a list of video_id, category_id, score and segmentations.
        annotations: The annotation file of YouTube-VIS or OVIS, or of the same format.
        images: The folder that the file names of the annotations start from, for pictures in the report.
        out: Folder for the report: report.html, with pictures if there are images, and report.json.
        errors: Find out which kind of error costs how much AP: missed objects, wrong classes, switched identities ...
        identity: Also print HOTA, IDF1 and identity switches (needs the extra "eval").
        score_threshold: Detections below this score are left out of these tracking metrics, and of pictures.
        worst: How many of the worst videos the report shows pictures of.
        workers: Processes to use, on Linux. Default: one per processor if there is much to do.
        submission: Also pack the results for a server into this zip file.
    """
    if annotations is None:
        raise InputError("The annotations are missing: add --annotations FILE.json.")
    if images is not None and out is None:
        raise InputError("--images is for the pictures of the report: add -o FOLDER to write one.")
    if worst < 0:
        raise InputError(f"--worst is {worst}: give 0 or more.")
    from rich.console import Console

    from genvis.cli.progress import live_progress
    from genvis.data.video_annotations import VideoAnnotations
    from genvis.evaluation.evaluate import evaluate as evaluate_results
    from genvis.evaluation.report_folder import check_images, write_report
    from genvis.evaluation.results import load_results
    from genvis.evaluation.submission import write_submission
    from genvis.evaluation.terminal import print_report

    console = Console()
    truth = VideoAnnotations.load(annotations)
    detections = load_results(results, truth)
    if images is not None:
        check_images(truth, images)
    with live_progress() as show:
        report = evaluate_results(
            detections,
            truth,
            errors=errors,
            identity=identity,
            score_threshold=score_threshold,
            workers=workers,
            progress=lambda done, total: show("videos", done, total),
        )
    print_report(report, console)
    if out is not None:
        page = write_report(
            report, out, annotations=truth, results=detections, images=images, worst=worst, threshold=score_threshold
        )
        console.print(f"Report: {page}", highlight=False, soft_wrap=True)
    if submission is not None:
        write_submission(results, submission)
        console.print(f"Submission: {submission}", highlight=False, soft_wrap=True)


COMPONENTS = evaluate
