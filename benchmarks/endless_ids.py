"""A day of a camera in minutes: track ids, memory and state over millions of frames.

    python benchmarks/endless_ids.py --hours 24

The bundled model segments the demo clip once. What it said of each frame (classes, presence, embeddings) is replayed to
the archive, the scores and the ids of a session, which keeps nothing else: each stands for one second of 25 frames.
Each round through the clip has a new cast, whose embeddings and classes are those of the clip with their channels in
another order. One round in four has a cast of the ten before it: its objects come back. So the objects never end, and
of each track it is known whose it is.
"""

import argparse
import random
import time
from importlib.resources import as_file, files
from typing import Any

import torch
from torch import Tensor

from genvis import VideoSegmenter
from genvis.checkpoints.load import load_genvis
from genvis.inference.scoring import TrackScores
from genvis.inference.session import SCORE_WINDOW
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.inference.trackers.slot_archive import PRESENT, ArchivedSlots
from genvis.inference.trackers.track_ids import TrackIds
from genvis.inference.trackers.video_tracker import SlotTracker, TrackedClip
from genvis.memory import used_memory
from genvis.video import open_source

FRAME_RATE = 25
SCORE = 0.3
RETURNING, RECENT = 0.25, 10


class ReplayedSlots(SlotTracker):
    """Recorded outputs of a tracker on one video, repeated in rounds, each with other objects.

    Attributes:
        clips: As the tracker gave them, without masks.
        cast: Number of the present cast.
    """

    is_causal = True

    def __init__(self, segmenter: VideoSegmenter) -> None:
        with as_file(files("genvis") / "assets" / "demo.mp4") as clip, open_source(clip) as source:
            images = [frame.image for frame in source]
        self.score_rule = segmenter.tracker.score_rule
        self.clips: list[TrackedClip] = []
        self.cast = 0
        state: Any = None
        for image in images:
            found, state = segmenter.tracker.track(segmenter.prepare([image]).pixel_values, state)
            assert found is not None
            self.clips.append(found._replace(mask_logits=found.mask_logits[..., :1, :1].clone()))

    def track(self, pixel_values: Tensor, state: int | None) -> tuple[TrackedClip, int]:
        step = state or 0
        clip = self.clips[step % len(self.clips)]
        assert clip.embeddings is not None
        generator = torch.Generator().manual_seed(self.cast)
        channels = torch.randperm(clip.embeddings.shape[1], generator=generator)
        classes = torch.randperm(clip.class_evidence.shape[1], generator=generator)
        return clip._replace(
            class_evidence=clip.class_evidence[:, classes], embeddings=clip.embeddings[:, channels]
        ), step + 1

    def released(self, state: int, slots: Tensor) -> int:
        return state


class Casting:
    """Which cast plays in each round, and which ids its tracks had."""

    def __init__(self) -> None:
        self.casts, self.returned, self.kept = 1, 0, 0
        self.owners: dict[int, set[int]] = {}  # The casts whose tracks had an id: grows with the ids that were given.
        self._draw = random.Random(0)
        self._recent = [0]
        self._ids_of: dict[int, set[int]] = {}
        self._before, self._now = set[int](), set[int]()

    def next_cast(self, cast: int) -> int:
        """End the round of a cast, and return the next one."""
        self._ids_of[cast] = self._before | self._now
        if self._draw.random() < RETURNING and len(self._recent) > 1:
            following = self._draw.choice(self._recent[:-1])
            self._recent.remove(following)
            self.returned += 1
        else:
            following, self.casts = self.casts, self.casts + 1
        self._recent = [*self._recent, following][-RECENT:]
        self._ids_of = {one: self._ids_of[one] for one in self._recent if one in self._ids_of}
        self._before, self._now = self._ids_of.get(following, set()), set()
        return following

    def report(self, track_id: int, cast: int) -> None:
        """Note that a track of a cast has an id."""
        assert track_id in self.owners or track_id == len(self.owners) + 1, "ids are not 1, 2, 3, ..."
        self.owners.setdefault(track_id, set()).add(cast)
        if track_id in self._before and not self._now & self._before:
            self.kept += 1
        self._now.add(track_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--archive", type=int, default=ArchiveOptions.size, help="tracks that are archived at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = VideoSegmenter(load_genvis("sprites-tiny"), resolution=96)
    replayed, casting = ReplayedSlots(segmenter), Casting()
    tracker = ArchivedSlots(replayed, ArchiveOptions(size=options.archive))
    scores = TrackScores(tracker.score_rule, classes=len(segmenter.categories.names), window=SCORE_WINDOW)
    ids, state = TrackIds(), None
    second_of_frames = torch.zeros(FRAME_RATE, 0)
    seconds, began = round(3600 * options.hours), time.perf_counter()
    print("hours    frames  process MB  state MB  ids given  remembered  ids of two casts  casts back with an old id")
    for second in range(seconds):
        if second and second % len(replayed.clips) == 0:
            replayed.cast = casting.next_cast(replayed.cast)
        found, state = tracker.track(second_of_frames, state)
        numbers = found.track_ids.tolist()
        assert len(set(numbers)) == len(numbers), "a number twice in one clip"
        scores.add(found.track_ids, found.class_evidence, found.observations)
        best = dict(zip(scores.track_ids, scores.class_scores().amax(dim=1).tolist(), strict=True))
        for number, presence in zip(numbers, found.presence.tolist(), strict=True):
            if presence >= PRESENT and best[number] >= SCORE:
                casting.report(ids.id_of(number), replayed.cast)
        remembered = tracker.remembered(state)
        scores.keep(remembered)
        ids.keep(remembered)
        if (second + 1) % max(1, seconds // 12) == 0:
            megabytes = sum(tensor.nbytes for tensor in state.ledger.tensors().values()) / 1e6
            wrong = sum(len(found) > 1 for found in casting.owners.values())
            row = f"{FRAME_RATE * (second + 1):9d} {used_memory() / 1e6:11.0f} {megabytes:9.2f} {len(ids):10d}"
            back = f"{casting.kept:6d} of {casting.returned}"
            print(f"{(second + 1) / 3600:5.2f} {row} {len(remembered):11d} {wrong:17d} {back}", flush=True)
    print(f"{FRAME_RATE * seconds} frames in {time.perf_counter() - began:.0f} s; {casting.casts} casts")


if __name__ == "__main__":
    main()
