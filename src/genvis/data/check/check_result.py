"""All checks of a file, and their outcome."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genvis.categories import known_categories, known_category_sets
from genvis.data.check.findings import Findings, Severity
from genvis.data.check.image_checks import check_images
from genvis.data.check.mask_checks import check_masks
from genvis.data.check.overlap_checks import check_overlaps
from genvis.data.check.records import AnnotationRecords, Layout, read_records
from genvis.data.check.structure_checks import check_structure
from genvis.errors import InputError


@dataclass(frozen=True)
class Summary:
    """Content of a file in numbers.

    Attributes:
        layout: Which format it is.
        video_word: "video" or "image".
        videos: Number of videos (or images).
        frames: Number of image files that they name.
        tracks: Number of annotations.
        masks: Number of masks that can be read and have pixels.
        categories: Number of categories.
        known_categories: The known categories whose ids and names the file has, if any.
        tracks_of_category: Category name and number of annotations, the most frequent first.
    """

    layout: str
    video_word: str
    videos: int
    frames: int
    tracks: int
    masks: int
    categories: int
    known_categories: str | None
    tracks_of_category: list[tuple[str, int]]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check.

    Attributes:
        path: The annotation file.
        records: What could be read of it.
        summary: Its content in numbers.
        findings: Faults, and what is worth knowing.
        images_checked: Whether the image files were looked at.
    """

    path: Path
    records: AnnotationRecords
    summary: Summary
    findings: Findings
    images_checked: bool

    @property
    def passed(self) -> bool:
        """Whether there are no errors; warnings and notes may be there."""
        return self.findings.count(Severity.ERROR) == 0


def check_annotations(
    path: Path,
    images: Path | None = None,
    *,
    decode_images: bool = False,
    most_examples: int = 3,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> CheckResult:
    """Check a YouTube-VIS, OVIS or COCO instances file and, if their folder is given, its images.

    Args:
        path: The annotation file.
        images: The folder that the file names start from; None checks the annotation file alone.
        decode_images: Decode every image to the last pixel: slow, but finds damage within an image.
        most_examples: How many places are kept for each kind of problem.
        progress: Called with what is being checked, the videos done and their total.

    Returns:
        Everything that was found.

    Raises:
        InputError: If the file is not an annotation file at all, or the folder does not exist.
    """
    if images is not None and not images.is_dir():
        raise InputError(f"There is no folder '{images}'; --images names the folder that file names start from.")
    findings = Findings(most_examples)
    records = read_records(path, findings)
    check_structure(records, findings)
    masks = 0
    total = len(records.videos)
    for done, (video, tracks) in enumerate(check_masks(records, findings), start=1):
        masks += sum(len(item.masks) for item in tracks)
        check_overlaps(video, tracks, findings)
        progress("Checking masks", done, total)
    if images is not None:
        seen = iter(range(1, total + 1))
        check_images(
            records.videos,
            images,
            findings,
            decode=decode_images,
            progress=lambda: progress("Checking images", next(seen), total),
        )
    return CheckResult(path, records, _summary(records, masks), findings, images is not None)


def _summary(records: AnnotationRecords, masks: int) -> Summary:
    names = {category.id: category.name or f"category {category.id}" for category in records.categories}
    counts = Counter(names.get(track.category_id, "unknown category") for track in records.tracks)
    return Summary(
        layout=records.layout.value,
        video_word="image" if records.layout is Layout.COCO else "video",
        videos=len(records.videos),
        frames=sum(len(video.file_names or ()) for video in records.videos),
        tracks=len(records.tracks),
        masks=masks,
        categories=len(records.categories),
        known_categories=_known_categories_of(records),
        tracks_of_category=counts.most_common(),
    )


def _known_categories_of(records: AnnotationRecords) -> str | None:
    held = {category.id: (category.name or "").lower() for category in records.categories}
    for name in known_category_sets():
        known = known_categories(name)
        if held == {identifier: label.lower() for identifier, label in zip(known.ids, known.names, strict=True)}:
            return name
    return None
