"""A day of a camera in minutes: track ids, memory and state of a session over millions of frames.

    python benchmarks/endless_ids.py --hours 24

The bundled model segments the demo clip once. What it said of each frame (classes, presence, embeddings, masks) is then
replayed to a real session: each stands for one second of 25 frames. Each round through the clip has a new cast, whose
embeddings and classes are those of the clip with their channels in another order. One round in four has a cast of the
ten before it: its objects come back. So the objects never end, and of each reported track it is known whose it is.
"""

import argparse
import random
import time
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genvis import VideoSegmenter
from genvis.checkpoints.load import load_genvis
from genvis.inference.run_setup import FrameSizes, PreparedClip
from genvis.inference.session import Session
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.inference.trackers.slot_archive import ArchivedSlots
from genvis.inference.trackers.video_tracker import SlotTracker, TrackedClip
from genvis.memory import used_memory
from genvis.video import open_source

FRAME_RATE = 25
RETURNING, RECENT = 0.25, 10
SIDE = 8  # Of the masks, which say where objects are and no more.


class ReplayedSlots(SlotTracker):
    """What a slot tracker said of a clip, round after round, with another cast each.

    Args:
        clips: As the tracker gave them.
        tracker: That tracker.
    """

    is_causal = True

    def __init__(self, clips: list[TrackedClip], tracker: SlotTracker) -> None:
        self.clips = clips
        self.score_rule = tracker.score_rule
        self.cast = 0

    def track(self, pixel_values: Tensor, state: int | None) -> tuple[TrackedClip, int]:
        step = state or 0
        clip = self.clips[step % len(self.clips)]
        assert clip.embeddings is not None
        generator = torch.Generator().manual_seed(self.cast)
        channels = torch.randperm(clip.embeddings.shape[1], generator=generator)
        classes = torch.randperm(clip.class_evidence.shape[1], generator=generator)
        masks = clip.mask_logits.expand(len(pixel_values), -1, -1, -1)
        changed = clip._replace(
            class_evidence=clip.class_evidence[:, classes], embeddings=clip.embeddings[:, channels], mask_logits=masks
        )
        return changed, step + 1

    def released(self, state: int, slots: Tensor) -> int:
        return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--archive", type=int, default=ArchiveOptions.size, help="tracks that are archived at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    session, replayed = replayed_session(ArchiveOptions(size=options.archive))
    blank = [np.zeros((4 * SIDE, 4 * SIDE, 3), np.uint8)] * FRAME_RATE
    draw = random.Random(0)
    casts, casts_of_id = 1, dict[int, set[int]]()
    recent, returned, kept = [0], 0, 0
    seconds = round(3600 * options.hours)
    report_every = max(1, seconds // 12)
    began = time.perf_counter()
    print("  hours    frames  process MB  state MB  ids given  in memory  wrong ids  casts back with an old id")
    ids_of_cast: dict[int, set[int]] = {}
    for second in range(seconds):
        if second and second % len(replayed.clips) == 0:
            if draw.random() < RETURNING and len(recent) > 1:
                replayed.cast = draw.choice(recent[:-1])
                returned += 1
                kept += bool(ids_of_cast[replayed.cast])
                recent.remove(replayed.cast)
            else:
                replayed.cast, casts = casts, casts + 1
            recent = [*recent, replayed.cast][-RECENT:]
            current, before = set[int](), ids_of_cast.get(replayed.cast, set())
        elif second == 0:
            current, before = set(), set()
        for result in session.step_clip(blank):
            ids = [one.id for one in result]
            assert len(set(ids)) == len(ids), "an id twice in one frame"
            for one in ids:
                casts_of_id.setdefault(one, set()).add(replayed.cast)
            current |= set(ids)
        ids_of_cast[replayed.cast] = before | current
        if (second + 1) % report_every == 0:
            tracker = session._setup.tracker
            assert isinstance(tracker, ArchivedSlots)
            state = session._state.ledger.tensors()
            megabytes = sum(tensor.nbytes for tensor in state.values()) / 1e6
            wrong = sum(len(found) > 1 for found in casts_of_id.values())
            row = f"{session.frames_seen:9d} {used_memory() / 1e6:11.0f} {megabytes:9.2f} {session.objects:10d}"
            rest = f"{len(tracker.remembered(session._state)):10d} {wrong:10d} {kept:6d} of {returned}"
            print(f"{(second + 1) / 3600:7.2f} {row} {rest}", flush=True)
    assert sorted(casts_of_id) == list(range(1, session.objects + 1)), "ids are not 1, 2, 3, ..."
    print(f"{session.frames_seen} frames in {time.perf_counter() - began:.0f} s, {casts} casts")


def replayed_session(archive: ArchiveOptions) -> tuple[Session, ReplayedSlots]:
    """Return a session whose network is a recording of the demo clip."""
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip, open_source(clip) as source:
        images = [frame.image for frame in source]
    segmenter = VideoSegmenter(load_genvis("sprites-tiny"), archive=archive, resolution=96)
    session = segmenter.open_session(overlaps="keep", presence_threshold=0.3)
    tracker = session._setup.tracker
    assert isinstance(tracker, ArchivedSlots)
    state: Any = None
    clips = []
    for image in images:
        clip_of_frame, state = tracker.tracker.track(segmenter.prepare([image]).pixel_values, state)
        assert clip_of_frame is not None
        small = torch.nn.functional.adaptive_max_pool2d(clip_of_frame.mask_logits, SIDE)
        clips.append(clip_of_frame._replace(mask_logits=small))
    replayed = ReplayedSlots(clips, tracker.tracker)
    tracker.tracker = replayed
    size = (4 * SIDE, 4 * SIDE)
    prepared = PreparedClip(torch.zeros(FRAME_RATE, 3, 1, 1), FrameSizes(size, size, size), [])
    session._setup.prepare = lambda frames, *, bgr=False: prepared  # type: ignore[method-assign]
    return session, replayed


if __name__ == "__main__":
    main()
