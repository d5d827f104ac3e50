"""Precision and recall of the review of a result: `python benchmarks/review.py returning --tracker memory`.

Segments generated validation videos with the bundled model, and compares merge suggestions and doubtful places with
the truth. A suggestion is right if both tracks are of one object where they meet: in most of the last and first 8
frames with a mask, at IoU 0.5. An id switch is found if a doubtful place of that track is at most 5 frames away.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from experiments.validation_sets import validation_set
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from genvis.checkpoints.load import load_genvis
from genvis.data.samples.sample import VideoSample
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.trackers.matching_options import MemoryMatchingOptions
from genvis.masks import RLEMask
from genvis.results.editing.appearance import Appearance
from genvis.results.editing.merge_suggestions import suggest_merges
from genvis.results.editing.review import doubtful_places
from genvis.results.types import Track, VideoResult
from genvis.video import Frame

NOTHING = -1
ENDS = 8
NEAR = 5


@dataclass
class Counts:
    """Totals over all videos."""

    pairs: int = 0
    suggested: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    switches: int = 0
    switches_found: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)


def segmented(segmenter: VideoSegmenter, video: VideoSample) -> tuple[VideoResult, Appearance]:
    run = segmenter.start(name=str(video.video_id))
    try:
        for place, image in enumerate(video.frames.permute(0, 2, 3, 1).numpy()):
            run.add([Frame(image=image, index=place, time=place / 10, name=f"{place:05d}")])
        result = run.result(segmenter.selection(score_threshold=0.3))
        return result, run.appearance()
    finally:
        run.close()


def objects_of(track: Track, truth: list[list[RLEMask]]) -> NDArray[np.int64]:
    """Return the object of each frame in which a track has a mask, (N,); -1 where it is none's."""
    found = []
    for position in np.flatnonzero(track.visible).tolist():
        mask = track.masks[position]
        assert mask is not None
        others = [one.coco() for one in truth[position]]
        ious = np.asarray(coco_mask.iou([mask.coco()], others, [0] * len(others)))[0]
        found.append(int(ious.argmax()) if ious.max() >= 0.5 else NOTHING)
    return np.array(found, np.int64)


def usual(objects: NDArray[np.int64]) -> int:
    """Return the object of more than half of some frames; -1 if there is none."""
    values, counts = np.unique(objects, return_counts=True)
    return int(values[counts.argmax()]) if counts.max() * 2 > len(objects) else NOTHING


def switches_of(positions: NDArray[np.int64], objects: NDArray[np.int64]) -> list[int]:
    """Return the frames in which a track goes over from one object to another."""
    known = objects != NOTHING
    places, which = positions[known], objects[known]
    return places[1:][which[1:] != which[:-1]].tolist()


def count(counts: Counts, result: VideoResult, looks: Appearance, video: VideoSample) -> None:
    masks = video.masks.numpy()  # (N, T, H, W)
    truth = [[RLEMask.encode(one[position]) for one in masks] for position in range(masks.shape[1])]
    lives = {track.id: (np.flatnonzero(track.visible), objects_of(track, truth)) for track in result.tracks}
    lives = {number: life for number, life in lives.items() if len(life[0])}
    starts = {number: usual(objects[:ENDS]) for number, (_, objects) in lives.items()}
    ends = {number: usual(objects[-ENDS:]) for number, (_, objects) in lives.items()}
    pairs = set()
    for number, (positions, _) in lives.items():
        later = [
            (other[0][0], name)
            for name, other in lives.items()
            if other[0][0] > positions[-1] and starts[name] == ends[number] != NOTHING
        ]
        if later:
            pairs.add((number, min(later)[1]))
    counts.pairs += len(pairs)
    for name, given in (("with looks", looks), ("without looks", None)):
        suggestions = suggest_merges(result, given)
        counts.suggested[name] += len(suggestions)
        counts.right[name] += sum(ends[one.first_id] == starts[one.second_id] != NOTHING for one in suggestions)
        counts.found[name] += len({(one.first_id, one.second_id) for one in suggestions} & pairs)
    switches = [(number, place) for number, life in lives.items() for place in switches_of(*life)]
    counts.switches += len(switches)
    for name, given in (("with looks", looks), ("without looks", None)):
        doubts = doubtful_places(result, given)
        counts.doubts[name] += len(doubts)
        counts.switches_found[name] += sum(
            any(
                number in doubt.track_ids
                and doubt.kind in ("position", "area", "look")
                and doubt.first - NEAR <= place <= doubt.last + NEAR
                for doubt in doubts
            )
            for number, place in switches
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set")
    parser.add_argument("--tracker", default="memory", choices=["memory", "propagation", "queries"])
    parser.add_argument("--keep-frames", type=int, default=MemoryMatchingOptions().keep_frames)
    parser.add_argument("--videos", type=int)
    options = parser.parse_args()
    matching = MemoryMatchingOptions(keep_frames=options.keep_frames) if options.tracker == "memory" else None
    segmenter = VideoSegmenter(load_genvis("sprites-tiny"), tracker=options.tracker, matching=matching)
    videos = validation_set(options.set).load()
    counts = Counts()
    tracks = frames = 0
    for index in range(min(options.videos or len(videos), len(videos))):
        result, looks = segmented(segmenter, videos[index])
        tracks, frames = tracks + len(result.tracks), frames + len(result)
        count(counts, result, looks, videos[index])
    print(f"{options.set}, {options.tracker}, keep_frames {options.keep_frames}: {frames} frames, {tracks} tracks")
    print(f"pairs of tracks that are one object: {counts.pairs}")
    for name, suggested in counts.suggested.items():
        print(f"  {name}: {suggested} suggestions, {counts.right[name]} right, {counts.found[name]} of the pairs")
    print(f"id switches within a track: {counts.switches}")
    for name, doubts in counts.doubts.items():
        print(f"  {name}: {doubts} doubtful places, {counts.switches_found[name]} switches found")


if __name__ == "__main__":
    main()
