"""Evaluation of a model on a Ray cluster: every actor holds model and annotations, and does one video at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.errors import GenVISError
from genvis.evaluation.run_model import Finished, segment_video
from genvis.inference.model_loading import load_model
from genvis.inference.segmenter import VideoSegmenter
from genvis.scaling.ray_pool import ActorProgress, RayPool, Row, map_on_ray


@dataclass(frozen=True)
class EvaluationJob:
    """All that an actor needs to know to run a model over annotated videos.

    Attributes:
        weights: The model, by a name that every machine of the cluster can load.
        annotations: The file, which every machine sees at this path; `images` and `out` too.
        images: The folder that the file names start from.
        out: The output folder.
        device: ``auto`` takes the GPU that Ray gave to the actor.
        detections: Pairs of track and class per video; None takes the model's number.
        run: Further arguments of `VideoSegmenter`.
    """

    weights: str
    annotations: str
    images: str
    out: str
    device: str = "auto"
    detections: int | None = None
    run: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("annotations", "images", "out"):  # Actors work elsewhere.
            object.__setattr__(self, name, str(Path(getattr(self, name)).absolute()))


def engine_on_ray(job: EvaluationJob, *, pool: RayPool, console: Console) -> Finished:
    """Return what does videos for `genvis.evaluation.run_model.run_model` on a Ray cluster.

    Args:
        job: What to do.
        pool: The cluster.
        console: For the live table.
    """

    def finished(indices: Sequence[int]) -> Iterator[int]:
        problems = []
        rows = map_on_ray(indices, partial(_SegmentsVideos, job), pool=pool, console=console) if indices else ()
        for row in rows:
            if row["problem"]:
                problems.append(str(row["problem"]))
            else:
                yield row["index"]
        if problems:
            more = f" (and {len(problems) - 1} more videos failed)" if len(problems) > 1 else ""
            raise GenVISError(f"{problems[0].rstrip('.')}{more}; the same command continues with what is missing.")

    return finished


class _SegmentsVideos:
    """What an actor does with the position of a video."""

    def __init__(self, job: EvaluationJob, tell: ActorProgress) -> None:
        self._job, self._tell = job, tell
        self._segmenter = VideoSegmenter(load_model(job.weights, device=job.device), **job.run)
        self._annotations = load_youtube_vis(Path(job.annotations))

    def __call__(self, index: int) -> Row:
        video = self._annotations.video(index)
        self._tell(f"video {video.id}", 0, len(video.file_names), always=True)
        try:
            segment_video(
                self._segmenter,
                self._annotations,
                index,
                images=Path(self._job.images),
                folder=Path(self._job.out),
                detections=self._job.detections,
            )
        except Exception as error:  # An error that left the actor would end the job.
            words = str(error) if isinstance(error, GenVISError) else f"{type(error).__name__}: {error}"
            return {"index": index, "problem": f"Video {video.id}: {words}"}
        self._tell(f"video {video.id}", len(video.file_names), len(video.file_names), always=True)
        return {"index": index, "problem": None}
