"""Folder of a report: an HTML page for people, a JSON file for programs."""

from pathlib import Path

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.samples.frames import image_path, read_frame
from genvis.evaluation.evaluation_report import EvaluationReport
from genvis.evaluation.report.html_page import write_html
from genvis.evaluation.report.pictures import draw_video
from genvis.evaluation.results_file import Results
from genvis.files import make_folder


def write_report(
    report: EvaluationReport,
    folder: Path,
    *,
    annotations: VideoAnnotations,
    results: Results,
    images: Path | None = None,
    worst: int = 5,
    threshold: float = 0.3,
) -> Path:
    """Write ``report.html`` and ``report.json``.

    Args:
        report: Of an evaluation.
        folder: Where to write; made if it is missing.
        annotations: Of the evaluation.
        results: Of the evaluation.
        images: The folder that the file names of the annotations start from; without it there are no pictures.
        worst: How many of the worst videos have pictures.
        threshold: Detections that find nothing are drawn from this score on.

    Returns:
        The page.

    Raises:
        InputError: If an image is missing.
        OutputError: If a file cannot be written.
    """
    make_folder(folder)
    pictures = {}
    if images is not None:
        positions = {int(number): position for position, number in enumerate(annotations.video_ids)}
        for video in report.worst_videos[:worst]:
            pictures[video.video_id] = draw_video(
                annotations, results, positions[video.video_id], images, score_threshold=threshold
            )
    report.write_json(folder / "report.json")
    page = folder / "report.html"
    write_html(report, page, pictures)
    return page


def check_images(annotations: VideoAnnotations, images: Path) -> None:
    """Make sure that the images are where the annotations say, by the first one.

    Raises:
        InputError: If it is missing or does not fit.
    """
    video = annotations.video(0)
    path = image_path(images, video.file_names[0], named_by=annotations.path)
    read_frame(path, height=video.height, width=video.width)
