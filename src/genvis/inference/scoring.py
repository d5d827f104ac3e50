"""Scores of tracks, the same for whole videos and live sessions, and the choice of tracks that a result holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from genvis.errors import InputError

Evidence = Literal["greatest_probability", "mean_probability", "mean_logits"]


@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """How the class evidence of clips becomes the score of a track; a property of the method that made it.

    Attributes:
        evidence: ``"greatest_probability"``: the greatest probability of a class in any clip (GenVIS, VITA, MinVIS);
            ``"mean_probability"``: the mean over the observations; ``"mean_logits"``: the softmax of the mean of the
            logits, "no object" last (VidEoMT).
        uses_mask_quality: Multiply by the mean of the sigmoid inside the track's masks over all frames.
        full_after: Observations after which a track gets its full score; before, it is n / ``full_after`` of it.
    """

    evidence: Evidence = "greatest_probability"
    uses_mask_quality: bool = True
    full_after: int = 1

    def probabilities(self, evidence: Tensor) -> Tensor:
        """Return class probabilities (N, K) without "no object", from evidence (N, K) or (N, K + 1)."""
        return evidence.softmax(dim=1)[:, :-1] if self.evidence == "mean_logits" else evidence


GREATEST_PROBABILITY = ScoreRule()
"""The published scoring of GenVIS, VITA and MinVIS (reference procedure, section 4)."""
MEAN_LOGITS = ScoreRule(evidence="mean_logits", uses_mask_quality=False)
"""The published scoring of VidEoMT."""


class TrackScores:
    """Scores so far of the tracks of one video, a row each, in the order in which the tracks came up.

    Args:
        rule: How evidence becomes a score.
        classes: K, without "no object".
        window: Means are over about so many latest observations; None takes all. In an endless stream the mean over
            everything would no longer tell what a track is now.
    """

    def __init__(self, rule: ScoreRule, *, classes: int, window: int | None = None) -> None:
        self.rule = rule
        self._width = classes + (rule.evidence == "mean_logits")
        self._window = math.inf if window is None else max(window, rule.full_after)
        self._rows: dict[int, int] = {}
        self._evidence = torch.zeros(0, self._width)  # (R, K) or (R, K + 1)
        self._observations = torch.zeros(0)  # (R,)
        self._sigmoid_sum = torch.zeros(0, dtype=torch.float64)  # (R,)
        self._pixels = torch.zeros(0, dtype=torch.float64)  # (R,)

    @property
    def track_ids(self) -> list[int]:
        """The id of each row."""
        return list(self._rows)

    def add(self, track_ids: Tensor, evidence: Tensor, observations: Tensor) -> None:
        """Take the class evidence of the next clip; all is on the CPU.

        Args:
            track_ids: (N,) int64, all different.
            evidence: (N, K) probabilities or (N, K + 1) logits, as `rule` wants; the mean over the observations.
            observations: (N,), of how many frames or clips ``evidence`` is the mean; 0 leaves the track as it was.
        """
        rows = self._rows_of(track_ids)  # (N,)
        if self.rule.evidence == "greatest_probability":
            seen = (observations > 0)[:, None]
            self._evidence[rows] = torch.maximum(self._evidence[rows], torch.where(seen, evidence, 0.0))
        else:  # The running mean.
            total = self._observations[rows] + observations  # (N,)
            share = (observations / total.clamp(min=1))[:, None]
            self._evidence[rows] = torch.lerp(self._evidence[rows], evidence, share)
        self._observations[rows] = (self._observations[rows] + observations).clamp(max=self._window)

    def add_quality(self, track_ids: Tensor, sigmoid_sum: Tensor, pixels: Tensor) -> None:
        """Take the sum of the sigmoid inside tracks' masks, and how many pixels these have, (N,) each, on the CPU."""
        rows = self._rows_of(track_ids)
        self._sigmoid_sum[rows] += sigmoid_sum.double()
        self._pixels[rows] += pixels.double()

    def forget_quality(self) -> None:
        """Begin to measure the quality of all masks anew."""
        self._sigmoid_sum.zero_()
        self._pixels.zero_()

    def class_scores(self) -> Tensor:
        """Return (R, K) float32 in [0, 1], the score of each class before the quality of the masks."""
        scores = self.rule.probabilities(self._evidence)
        return scores * (self._observations / self.rule.full_after).clamp(max=1)[:, None]

    def quality(self) -> Tensor:
        """Return (R,) float32, the factor in [0, 1] by which the masks change the class scores."""
        if not self.rule.uses_mask_quality:
            return torch.ones(len(self._rows))
        # The published code guards the division with 1e-6.
        return (self._sigmoid_sum / (self._pixels + 1e-6)).float()

    def best(self, classes: tuple[int, ...] | None = None) -> tuple[Tensor, Tensor]:
        """Return the final score and the class of each row, (R,) each.

        Args:
            classes: The only classes that count, contiguous from 0; None for all.
        """
        scores, labels = only(self.class_scores(), classes).max(dim=1)
        return scores * self.quality(), labels

    def keep(self, track_ids: set[int]) -> None:
        """Forget all other tracks."""
        kept = [(track, row) for track, row in self._rows.items() if track in track_ids]
        rows = torch.tensor([row for _, row in kept], dtype=torch.int64)
        self._rows = {track: row for row, (track, _) in enumerate(kept)}
        self._evidence, self._observations = self._evidence[rows], self._observations[rows]
        self._sigmoid_sum, self._pixels = self._sigmoid_sum[rows], self._pixels[rows]

    def tensors(self) -> dict[str, Tensor]:
        """Return all as tensors by name, to be saved."""
        return {
            "track_ids": torch.tensor(self.track_ids, dtype=torch.int64),
            "evidence": self._evidence,
            "observations": self._observations,
            "sigmoid_sum": self._sigmoid_sum,
            "pixels": self._pixels,
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `tensors` returned.

        Raises:
            InputError: If the tensors do not fit together.
        """
        try:
            ids: list[int] = tensors["track_ids"].tolist()
            vectors = [tensors[name] for name in ("observations", "sigmoid_sum", "pixels")]
            evidence = tensors["evidence"]
        except KeyError as error:
            raise InputError(f"The saved scores lack {error}.") from None
        if len(set(ids)) != len(ids) or any(vector.shape != (len(ids),) for vector in vectors):
            raise InputError("The saved scores do not fit together.")
        if evidence.shape != (len(ids), self._width):
            raise InputError(f"The saved scores are not of {self._width} classes: they are of another model.")
        self._rows = {track: row for row, track in enumerate(ids)}
        self._evidence = evidence.float()
        self._observations = vectors[0].float()
        self._sigmoid_sum, self._pixels = vectors[1].double(), vectors[2].double()

    def _rows_of(self, track_ids: Tensor) -> Tensor:
        ids: list[int] = track_ids.tolist()
        new = [track for track in ids if track not in self._rows]
        if new:
            self._rows.update((track, row) for row, track in enumerate(new, start=len(self._rows)))
            self._evidence = torch.cat([self._evidence, torch.zeros(len(new), self._width)])
            self._observations = torch.cat([self._observations, torch.zeros(len(new))])
            self._sigmoid_sum = torch.cat([self._sigmoid_sum, torch.zeros(len(new), dtype=torch.float64)])
            self._pixels = torch.cat([self._pixels, torch.zeros(len(new), dtype=torch.float64)])
        return torch.tensor([self._rows[track] for track in ids], dtype=torch.int64)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which (track, class) pairs a whole-video result holds.

    Attributes:
        detections: How many pairs of the best class score are kept at most, in each scene, before masks are judged.
        score_threshold: Tracks with a final score below this are dropped.
        classes: Only these classes, contiguous from 0; None keeps all.
        one_label_each: Keep only the best class of a track. The published procedure, and so every evaluation, lets a
            track appear under several classes.

    Raises:
        InputError: If a number is out of range.
    """

    detections: int
    score_threshold: float = 0.0
    classes: tuple[int, ...] | None = None
    one_label_each: bool = False

    def __post_init__(self) -> None:
        if self.detections < 1:
            raise InputError(f"detections is {self.detections}; at least 1 must be kept.")
        if not 0 <= self.score_threshold <= 1:
            raise InputError(f"score_threshold is {self.score_threshold}; it must be within 0..1.")

    def pairs(self, class_scores: Tensor) -> list[tuple[int, int, float]]:
        """Choose from class scores (R, K): (row, class, class score), best first."""
        scores = only(class_scores, self.classes)
        if self.one_label_each and len(scores):
            best = scores.argmax(dim=1, keepdim=True)
            scores = torch.full_like(scores, -1).scatter(1, best, scores.gather(1, best))
        values, places = scores.flatten().topk(min(self.detections, scores.numel()))
        num_classes = scores.shape[1]
        return [
            (place // num_classes, place % num_classes, value)
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
            if value >= 0
        ]

    def pairs_of_scenes(self, class_scores: Tensor, scenes: Sequence[int]) -> list[tuple[int, int, float]]:
        """Choose as `pairs` from the tracks of each scene, as if it were a video of its own; best first.

        Args:
            class_scores: (R, K).
            scenes: R, the scene of each track.
        """
        chosen = []
        for scene in sorted(set(scenes)):
            rows = [row for row, of_scene in enumerate(scenes) if of_scene == scene]
            found = self.pairs(class_scores[torch.tensor(rows)])
            chosen += [(rows[row], label, score) for row, label, score in found]
        return sorted(chosen, key=lambda pair: -pair[2])


def only(class_scores: Tensor, classes: tuple[int, ...] | None) -> Tensor:
    """Return class scores (R, K) with -1 for all but some classes; None leaves all."""
    if classes is None:
        return class_scores
    kept = list(classes)
    scores = torch.full_like(class_scores, -1)
    scores[:, kept] = class_scores[:, kept]
    return scores
