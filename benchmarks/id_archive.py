"""Archive of track ids: sessions and whole videos with and without it, and a stream of 326 objects through 20 queries.

    python benchmarks/id_archive.py --output experiments-output
    python benchmarks/id_archive.py --output experiments-output --sets stream --objects 320

The detector's outputs of the sets are recorded in the output folder of the experiments first, if they are not there.
``--objects`` joins the videos of a set to streams of so many objects, which never come back in another video.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.evaluation import SURE, score_videos, truth_of
from experiments.recordings import RecordedVideo, ReplayedDetector, record
from experiments.runner import weights_digest
from experiments.validation_sets import validation_set

from experiments import FIRST_BUNDLED_MODEL
from genvis.checkpoints.load import load_genvis
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.results.formats.youtube_vis_results import youtube_vis_entries
from genvis.results.recorder import ResultRecorder
from genvis.results.types import VideoResult
from genvis.video import Frame

ROWS = {"without": ArchiveOptions(size=0), "archive": ArchiveOptions()}
BY_QUERIES = {"queries": ArchiveOptions(looks="queries", split_below=0.6, undo_above=0.8)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("experiments-output"))
    parser.add_argument("--weights", default=FIRST_BUNDLED_MODEL, help="the first bundled model, as the page's figures")
    parser.add_argument("--sets", nargs="+", default=["normal", "occluded", "returning", "endless", "crowd-10"])
    parser.add_argument("--videos", type=int, help="the first so many of each set")
    parser.add_argument("--objects", type=int, help="join videos to streams of so many objects")
    parser.add_argument("--whole", action="store_true", help="whole videos too, by the published procedure")
    parser.add_argument("--tracker", choices=["propagation", "memory"], default="propagation")
    parser.add_argument("--restart-queries", action="store_true", help="a row with this option of the archive, too")
    options = parser.parse_args()
    model = load_genvis(options.weights).eval()
    weights = weights_digest(load_genvis(options.weights).as_minvis())
    model.register_module("detector", ReplayedDetector(model.detector))
    rows = {**ROWS, **(BY_QUERIES if options.tracker == "propagation" else {})}
    rows |= {"restart": ArchiveOptions(restart_queries=True)} if options.restart_queries else {}
    print("set          way      archive      AP   HOTA   AssA   DetA   IDF1  id switches  ids  objects")
    for name in options.sets:
        validation = validation_set(name)
        folder = options.output / "recordings" / name
        recording = record(lambda: load_genvis(options.weights), validation, folder, fingerprint=weights)
        videos = [recording[index] for index in range(options.videos or len(recording))]
        if options.objects:
            videos = list(streams_of(videos, options.objects))
        for row, archive in rows.items():
            segmenter = VideoSegmenter(model, clip_length=1, tracker=options.tracker, archive=archive)
            for way in ("session", "whole") if options.whole else ("session",):
                found = [follow(segmenter, video, way) for video in videos]
                several = [evaluated(video, one, segmenter) for video, one in zip(videos, found, strict=True)]
                single = [evaluated(video, one, None) for video, one in zip(videos, found, strict=True)]
                scores = score_videos(several, single, segmenter.categories, seconds=0)
                ids = sum(track.score >= SURE for one in found for track in one.tracks)
                values = f"{scores.ap:6.1f} {scores.hota:6.1f} {scores.assa:6.1f} {scores.deta:6.1f} {scores.idf1:6.1f}"
                print(
                    f"{name:12s} {way:8s} {row:8s} {values} {scores.switches:12d} {ids:4d} {scores.objects:8d}",
                    flush=True,
                )


def streams_of(videos: Sequence[RecordedVideo], objects: int) -> Iterator[RecordedVideo]:
    """Join videos to streams of at least so many objects each; a rest of fewer is left out."""
    joined: list[RecordedVideo] = []
    for video in videos:
        joined.append(video)
        if sum(len(one.labels) for one in joined) >= objects:
            yield RecordedVideo.joined(joined)
            joined = []


def follow(segmenter: VideoSegmenter, video: RecordedVideo, way: str) -> VideoResult:
    """Return what a session reports, or the result of the whole video with one label for each track."""
    assert isinstance(segmenter.model.detector, ReplayedDetector)
    segmenter.model.detector.rewind(video)
    blank = np.zeros((*video.size, 3), np.uint8)
    frames = [Frame(blank, index, index / 6.0, f"{index:05d}") for index in range(len(video))]
    if way == "whole":
        return segmenter.segment(frames, overlaps="keep", one_label_each=True, presence_threshold=0.3)
    ids = dict(enumerate(segmenter.categories.ids))
    recorder = ResultRecorder(name="stream", category_ids=ids, categories_name=segmenter.categories.name)
    for found in segmenter.segment_stream(frames):
        recorder.add(found)
    return recorder.result()


def evaluated(video: RecordedVideo, result: VideoResult, segmenter: VideoSegmenter | None) -> EvaluatedVideo:
    """Return truth and result for scoring; without a segmenter all objects are of one class."""
    entries = [dict(entry) for entry in youtube_vis_entries(result, 0)]
    if segmenter is None:
        entries = [{**entry, "category_id": 1} for entry in entries]
    return EvaluatedVideo(video.size, len(video), truth_of(video, segmenter and segmenter.categories), entries)


if __name__ == "__main__":
    main()
