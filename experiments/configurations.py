"""Configurations: the rows of the paper's tables as values."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from experiments.evaluation import EvaluationPlan, TrackingOptions
from genvis.inference.run_setup import ClipLength
from genvis.inference.trackers.choose import TrackerName
from genvis.inference.trackers.matching_options import MemoryMatchingOptions
from genvis.results.overlaps import Overlaps


@dataclass(frozen=True)
class Configuration:
    """One way to train and run a tracker on the frozen detector.

    All that are trained on clips of 3 see the same number of frames in a step: none wins by having seen more.

    Attributes:
        name: Of files and results.
        method: ``"minvis"`` and ``"memory"`` match the detector's queries and train nothing, ``"bundled"`` is the
            model that the detector is of, as it is; ``"vita"`` takes a sample, and later a video, as one clip;
            ``"truth"`` joins the detector's masks as the truth says.
        clips: N_v, clips of a training sample.
        clip_length: N_f, frames of a clip, in training and, if nothing else is said, at inference.
        videos: Samples of a step.
        assignment: ``"uvla"``, or ``"correspondence"``, which keeps the matching of the first clip.
        memory: How the prototype memory is read.
        propagates: Whether a clip starts from the queries of the previous one; otherwise the queries of consecutive
            clips are matched at inference.
        matching: Options of ``"memory"`` that are not the defaults, by name.
        presence: Masks of clips in which a track is visible with a lower probability are left out.
        occupancy: Whether propagation is weighted by occupancy.
        propagation: What the next clip starts from, as the model's configuration says.
        identity: Weight of the contrastive loss between clips.
        query_noise: Probability of each object's query to be disturbed between two clips.
        frame_reading: How instance queries read frame queries, as the model's configuration says.
        overlaps: Whether the masks of a frame may overlap, as the published procedure has them, or each pixel goes to
            one track and tracks that are mostly duplicates are dropped, as `VideoSegmenter` does by default.
        mixed_lengths: Clip lengths of which every training step draws one, instead of ``clip_length``; a sample still
            has ``clips * clip_length`` frames.
    """

    name: str
    method: Literal["genvis", "vita", "minvis", "memory", "bundled", "truth"] = "genvis"
    clips: int = 5
    clip_length: int = 3
    videos: int = 4
    assignment: Literal["uvla", "correspondence"] = "uvla"
    memory: Literal["none", "index", "global"] = "none"
    propagates: bool = True
    matching: tuple[tuple[str, float], ...] = ()
    presence: float = 0.0
    occupancy: bool = False
    overlaps: Overlaps = "keep"
    mixed_lengths: tuple[int, ...] = ()
    propagation: Literal["full", "occupancy", "gated"] = "full"
    identity: float = 0.0
    query_noise: float = 0.0
    frame_reading: Literal["attention", "claims"] = "attention"

    @property
    def is_trained(self) -> bool:
        """Whether there is a tracker to train."""
        return self.method in ("genvis", "vita")

    @property
    def tracker(self) -> TrackerName | None:
        """Method that follows the objects from clip to clip at inference; None leaves it to the model."""
        if self.method in ("minvis", "memory"):
            return "queries" if self.method == "minvis" else "memory"
        return "clip_queries" if self.method == "genvis" and not self.propagates else None

    @property
    def matching_options(self) -> MemoryMatchingOptions:
        """Options of memory matching."""
        changed: dict[str, Any] = dict(self.matching)
        return MemoryMatchingOptions(**changed)

    @property
    def tracking(self) -> TrackingOptions:
        """How videos are tracked and results made."""
        return TrackingOptions(
            tracker=self.tracker,
            matching=self.matching_options if self.method == "memory" else None,
            occupancy_weighted=self.occupancy,
            presence_threshold=self.presence,
            overlaps=self.overlaps,
        )

    @property
    def model_fields(self) -> dict[str, Any]:
        """The fields of the model's configuration that make it this one."""
        return {
            "method": self.method,
            "clip_length": self.clip_length,
            "memory_read": self.memory,
            "propagate_queries": self.propagates,
            "propagation": self.propagation,
            "frame_reading": self.frame_reading,
            "encoder_window_size": 6 if self.method == "vita" else 0,
        }

    def plan(self, set_name: str, *, clip_length: ClipLength = 0, piece: int = 0) -> EvaluationPlan:
        """Return how this configuration is measured on a set; 0 takes the clip length of training."""
        return EvaluationPlan(set_name, clip_length or self.clip_length, piece)

    def description(self) -> dict[str, Any]:
        """Return everything that makes this configuration what it is."""
        description = asdict(self)
        # What came later is told only where it is used, so that older results keep their descriptions.
        later = (
            *("presence", "occupancy", "overlaps", "mixed_lengths", "propagation", "identity", "query_noise"),
            "frame_reading",
        )
        for name in later:
            if description[name] == getattr(Configuration, name):
                del description[name]
        if self.mixed_lengths:
            description["mixed_lengths"] = list(self.mixed_lengths)
        del description["matching"]
        if self.method == "memory":
            description["matching"] = self.matching_options.settings()
        return description


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

BUNDLED = Configuration("bundled", method="bundled", clip_length=1)
MEMORY = Configuration("memory", method="memory", clip_length=1, propagates=False)


def memory_with(name: str, **options: float) -> Configuration:
    """Return memory matching with some other options."""
    return replace(MEMORY, name=f"memory-{name}", matching=tuple(options.items()))


def with_presence(configuration: Configuration, threshold: float) -> Configuration:
    """Return a configuration that leaves out the masks of absent tracks."""
    return replace(configuration, name=f"{configuration.name}-presence-{threshold:g}", presence=threshold)


def resolved(configuration: Configuration, *, presence: float = 0.3) -> Configuration:
    """Return a configuration whose results are made as `VideoSegmenter` makes them by default.

    Args:
        configuration: With the published procedure.
        presence: Masks of clips in which a track is visible with a lower probability are left out.
    """
    return replace(configuration, name=f"{configuration.name}-resolved", presence=presence, overlaps="resolve")


ONLINE_MATCHING = resolved(Configuration("online-matching", clips=1, clip_length=1, videos=40, propagates=False))
ONLINE_CORRESPONDENCE_2 = resolved(
    Configuration("online-correspondence-2", clips=2, clip_length=1, videos=20, assignment="correspondence")
)
ONLINE_CORRESPONDENCE_5 = resolved(
    Configuration("online-correspondence-5", clip_length=1, videos=8, assignment="correspondence")
)
ONLINE_UVLA = resolved(Configuration("online-uvla", clip_length=1, videos=8))
ONLINE_GENVIS = resolved(Configuration("online-genvis", clip_length=1, videos=8, memory="index"))
ONLINE_GLOBAL_MEMORY = resolved(Configuration("online-global-memory", clip_length=1, videos=8, memory="global"))
ONLINE_GENVIS_3 = resolved(Configuration("online-genvis-3", clip_length=3, videos=3, memory="index"))
ONLINE_GENVIS_5 = resolved(Configuration("online-genvis-5", clip_length=5, videos=2, memory="index"))
ONLINE_GENVIS_7 = resolved(Configuration("online-genvis-7", clip_length=7, videos=1, memory="index"))
# The frames of a sample are enough for propagation with each of the lengths.
ONLINE_LONG = resolved(Configuration("online-genvis-long", clips=15, clip_length=1, videos=3, memory="index"))
ONLINE_MIXED = replace(ONLINE_LONG, name="online-mixed-resolved", mixed_lengths=(1, 3, 5, 7))
OPTION_OCCUPANCY = replace(ONLINE_UVLA, name="online-occupancy-resolved", propagation="occupancy")
OPTION_IDENTITY = replace(ONLINE_UVLA, name="online-identity-resolved", identity=1.0)
OPTION_NOISE = replace(ONLINE_UVLA, name="online-noise-resolved", query_noise=0.3)
OPTION_IDENTITY_NOISE = replace(OPTION_IDENTITY, name="online-identity-noise-resolved", query_noise=0.3)
ONLINE_CLAIMS = replace(ONLINE_UVLA, name="online-claims-resolved", frame_reading="claims", propagation="occupancy")
CLAIMS_CORRESPONDENCE_2, CLAIMS_CORRESPONDENCE_5, CLAIMS_3, CLAIMS_5, CLAIMS_7 = (
    replace(
        one,
        name=one.name.replace("online-", "online-claims-"),
        memory="none",
        frame_reading="claims",
        propagation="occupancy",
    )
    for one in (ONLINE_CORRESPONDENCE_2, ONLINE_CORRESPONDENCE_5, ONLINE_GENVIS_3, ONLINE_GENVIS_5, ONLINE_GENVIS_7)
)
OPTION_GATED = replace(ONLINE_UVLA, name="online-gated-resolved", propagation="gated")

BUNDLED_OCCUPANCY = replace(BUNDLED, name="bundled-occupancy", occupancy=True)
