"""What is trained: the rows of the paper's tables as values."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from experiments.evaluation import EvaluationPlan
from genvis.inference.trackers.choose import TrackerName


@dataclass(frozen=True)
class Configuration:
    """One way to train and run a tracker on the frozen detector.

    All that are trained on clips of 3 see the same number of frames in a step: none wins by having seen more.

    Attributes:
        name: Of files and results.
        method: ``"minvis"`` trains nothing, ``"vita"`` takes a sample, and later a video, as one clip; ``"truth"``
            joins the detector's masks as the truth says.
        clips: N_v, clips of a training sample.
        clip_length: N_f, frames of a clip, in training and, if nothing else is said, at inference.
        videos: Samples of a step.
        assignment: ``"uvla"``, or ``"correspondence"``, which keeps the matching of the first clip.
        memory: How the prototype memory is read.
        propagates: Whether a clip starts from the queries of the previous one; otherwise the queries of consecutive
            clips are matched at inference.
    """

    name: str
    method: Literal["genvis", "vita", "minvis", "truth"] = "genvis"
    clips: int = 5
    clip_length: int = 3
    videos: int = 4
    assignment: Literal["uvla", "correspondence"] = "uvla"
    memory: Literal["none", "index", "global"] = "none"
    propagates: bool = True

    @property
    def is_trained(self) -> bool:
        """Whether there is a tracker to train."""
        return self.method not in ("minvis", "truth")

    @property
    def tracker(self) -> TrackerName | None:
        """Method that follows the objects from clip to clip at inference; None leaves it to the model."""
        if self.method == "minvis":
            return "queries"
        return "clip_queries" if self.method == "genvis" and not self.propagates else None

    @property
    def model_fields(self) -> dict[str, Any]:
        """The fields of the model's configuration that make it this one."""
        return {
            "method": self.method,
            "clip_length": self.clip_length,
            "memory_read": self.memory,
            "propagate_queries": self.propagates,
            "encoder_window_size": 6 if self.method == "vita" else 0,
        }

    def plan(self, held_out: str, *, clip_length: int = 0, piece: int = 0) -> EvaluationPlan:
        """Return how this configuration is measured on a set; 0 takes the clip length of training."""
        return EvaluationPlan(held_out, clip_length or self.clip_length, piece)

    def description(self) -> dict[str, Any]:
        """Return everything that makes this configuration what it is."""
        return asdict(self)


PRETRAINING = Configuration("pretraining", clips=1, videos=20, propagates=False)
CEILING = Configuration("ceiling", method="truth", clip_length=1, propagates=False)
MINVIS = Configuration("minvis", method="minvis", clip_length=1, propagates=False)
VITA = Configuration("vita", method="vita", clips=1, clip_length=15, propagates=False)
MATCHING = Configuration("matching", clips=1, videos=20, propagates=False)
CORRESPONDENCE_2 = Configuration("correspondence-2", clips=2, videos=10, assignment="correspondence")
CORRESPONDENCE_5 = Configuration("correspondence-5", assignment="correspondence")
UVLA = Configuration("uvla")
GENVIS = Configuration("genvis", memory="index")
GLOBAL_MEMORY = Configuration("global-memory", memory="global")
GENVIS_1 = Configuration("genvis-1", clip_length=1, memory="index")
GENVIS_5 = Configuration("genvis-5", clip_length=5, memory="index")
GENVIS_7 = Configuration("genvis-7", clip_length=7, memory="index")
