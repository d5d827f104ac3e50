"""VideoWorker: one video after another into an output folder that other processes fill as well.

The life of a video, in the order of `VideoWorker.do`: claimed, skipped if it is finished, opened, segmented, its
outputs written (those for elsewhere are copied when they are whole), and its manifest written last.
"""

import platform
import shutil
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol

from genvis.errors import GenVISError, InputError, OutputError
from genvis.files import make_folder, printable
from genvis.fingerprint import Fingerprint, Stamp, files_stamp
from genvis.inference.jobs import REMEDY, Prediction, PredictionOptions, prediction_fingerprint, run_fingerprint
from genvis.inference.segmenter import VideoSegmenter
from genvis.scaling.claims import HOPELESS, video_claim
from genvis.scaling.listed_videos import ListedVideo
from genvis.scaling.manifests import Manifest, keys_with_manifest, manifest_file, read_manifest, read_manifests
from genvis.storage.fetching import RemoteFile, cache_folder
from genvis.storage.stores import Store
from genvis.video import FrameRange, FrameSource, NamedSource, open_source
from genvis.video.sources.opening import is_camera

MOST_ATTEMPTS = 3
"""Processes that may die over one video before it counts as failed: one that takes all memory must not stop a job."""

_VIDEO = "source.video"

Ending = Literal["finished", "incomplete", "failed", "skipped", "busy", "interrupted", "live"]


class Work(Protocol):
    """What is done with a video."""

    def __call__(
        self, source: FrameSource, folder: Path, options: PredictionOptions, *, should_stop: Callable[[], bool]
    ) -> Prediction:
        """Segment an opened video into a folder, as `genvis.inference.jobs.predict_video` does."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a video.

    Attributes:
        video: Which.
        ending: ``finished``, ``incomplete`` or ``failed``: see `genvis.scaling.manifests.State`. ``skipped``: it was
            finished before. ``busy``: another process does it. ``interrupted``: it was stopped. ``live``: it was no
            file, and has no manifest.
        manifest: Of the video; None if it has none.
        prediction: What was found; None where nothing was done here.
        error: Why it failed.
    """

    video: ListedVideo
    ending: Ending
    manifest: Manifest | None = None
    prediction: Prediction | None = None
    error: GenVISError | None = None


class VideoWorker:
    """Does videos, one after another.

    Args:
        segmenter: The model and how to run it.
        store: Where the outputs go.
        options: What to select and to write.
        frames: Which frames of each video.
        skip_finished: Leave videos alone that are finished, and continue interrupted ones.
        time_limit: Seconds that a video may take, looked at after every clip; None for any.
        open_video: Opens a source; None opens files with `genvis.video.open_source`.
        survives: Whether an error of any kind fails the video only, and not the process.
        live: Whether videos are segmented causally, for their fingerprints.
    """

    def __init__(
        self,
        segmenter: VideoSegmenter,
        store: Store,
        options: PredictionOptions,
        *,
        frames: FrameRange,
        skip_finished: bool = False,
        time_limit: float | None = None,
        open_video: Callable[[ListedVideo], FrameSource] | None = None,
        survives: bool = False,
        live: bool = False,
    ) -> None:
        self.segmenter = segmenter
        self.store = store
        self.options = replace(options, resume=True) if skip_finished and not options.overwrite else options
        self.skip_finished = skip_finished
        self.time_limit = time_limit
        self._frames = frames
        self._open_video = open_video or self._open
        self._survives = survives
        self._live = live
        self._run = run_fingerprint(segmenter, frames, options, live=live)

    def unfinished(self, videos: Iterable[ListedVideo]) -> list[ListedVideo]:
        """Return the videos that are to be done, by one listing of the manifests and a look into each.

        Raises:
            InputError: If one is finished by another run, with other weights or settings.
        """
        listed = list(videos)
        if not self.skip_finished:
            return listed
        known = keys_with_manifest(self.store)
        wanted = [video.key for video in listed if video.key in known]
        by_key = {video.key: video for video in listed}
        manifests = read_manifests(self.store, wanted)
        finished = {found.key for found in manifests if self._is_finished(found, by_key[found.key])}
        return [video for video in listed if video.key not in finished]

    def do(self, video: ListedVideo, work: Work, *, should_stop: Callable[[], bool]) -> Outcome:
        """Do one video.

        Args:
            video: Which.
            work: Segments it.
            should_stop: Asked after every clip.

        Raises:
            InputError: If it was finished by another run, with other weights or settings.
            OutputError: If a manifest cannot be written.
        """
        if is_camera(video.source):  # It cannot be done twice.
            return self._attempt(video, work, should_stop)
        with video_claim(self.store, video.key) as claim:
            if claim is None:
                return Outcome(
                    video, "busy", error=InputError(f"Another run is writing '{video.folder}': wait for it.")
                )
            self.store.remove_leftovers(manifest_file(video.key))
            if self.skip_finished:
                manifest = read_manifest(self.store, video.key)
                if manifest is not None and self._is_finished(manifest, video):
                    return Outcome(video, "skipped", manifest)
            if self.skip_finished and claim.attempt > MOST_ATTEMPTS:  # Else the user asks for this very video again.
                if claim.attempt > HOPELESS:
                    sentence = f"'{video.name}' hung, and was ended with its process after --time-limit."
                else:
                    words = "perhaps for want of memory: a smaller --resolution may help"
                    sentence = f"'{video.name}' ended {claim.attempt - 1} processes that did it, {words}."
                died = InputError(sentence)
                return self._failed(video, died, seconds=0.0)
            return self._attempt(video, work, should_stop)

    def _is_finished(self, manifest: Manifest, video: ListedVideo) -> bool:
        """Whether a manifest says that nothing is to be done: there is a result, and the file is still the same.

        Raises:
            InputError: If it is of another run.
        """
        if not manifest.has_result:
            return False
        where = f"{self.store.label}/{manifest.folder}"
        earlier = Fingerprint.from_json(manifest.fingerprint, where=where, remedy=REMEDY)
        self._run.require(earlier.without(_VIDEO), where=where, remedy=REMEDY)
        stamp, before = _stamp_of(video.source), earlier.parts.get(_VIDEO)
        return stamp is None or not isinstance(before, Stamp) or stamp.digest == before.digest

    def _attempt(self, video: ListedVideo, work: Work, should_stop: Callable[[], bool]) -> Outcome:
        began = time.monotonic()
        is_late = False

        def stops() -> bool:
            nonlocal is_late
            is_late = self.time_limit is not None and time.monotonic() - began > self.time_limit
            return is_late or should_stop()

        try:
            if self.options.overwrite:
                self.store.remove(manifest_file(video.key))
            with self._open_video(video) as source:
                folder, options = self._folder(video, source)
                prediction = work(source, folder, replace(options, video_id=video.number), should_stop=stops)
                is_live, fingerprint = (
                    source.is_live,
                    prediction_fingerprint(self.segmenter, source, options, live=self._live),
                )
            if is_live:
                return Outcome(video, "live", prediction=prediction)
            if prediction.was_stopped and is_late:
                raise InputError(
                    f"'{video.name}' took longer than --time-limit {self.time_limit:g} s: {len(prediction.result):,} "
                    "frames were done; the same command continues."
                )
            if prediction.was_stopped:
                return Outcome(video, "interrupted", prediction=prediction)
            if self.store.local(video.folder) is None:
                self._copy(folder, video.folder)
        except OutputError as error:  # No fault of the video's.
            return Outcome(video, "failed", error=error)
        except GenVISError as error:
            return self._failed(video, error, seconds=time.monotonic() - began)
        except Exception as error:
            if not self._survives:
                raise
            traceback.print_exc()
            words = printable(error)[:300] or "no words"
            failure = GenVISError(f"'{video.name}' failed ({type(error).__name__}): {words}")
            return self._failed(video, failure, seconds=time.monotonic() - began)
        manifest = self._manifest(
            video,
            state="finished" if prediction.is_complete else "incomplete",
            frames=len(prediction.result),
            seconds=time.monotonic() - began,
            problem=prediction.result.problem,
            fingerprint=fingerprint,
        )
        manifest.write(self.store)
        if self.store.local(video.folder) is None:
            shutil.rmtree(folder, ignore_errors=True)  # Not before: if the manifest fails, only this is done again.
        return Outcome(video, manifest.state, manifest, prediction)

    def _copy(self, folder: Path, name: str) -> None:
        """Copy the outputs of a video to where they belong, in place of those of an earlier run."""
        self.store.put(folder, name)
        kept = {f"{name}/{path.name}" for path in folder.iterdir()}
        for old in set(self.store.names(name)) - kept:
            self.store.remove(old)

    def _folder(self, video: ListedVideo, source: FrameSource) -> tuple[Path, PredictionOptions]:
        """Return where a video is segmented, and with which options: elsewhere, in a folder of this machine first."""
        local = self.store.local(video.folder)
        if local is not None:
            return local, self.options
        parts = prediction_fingerprint(self.segmenter, source, self.options).to_json()
        digest = sha256(f"{self.store.label} {video.key} {parts}".encode()).hexdigest()[:20]
        folder = cache_folder().with_name("work") / digest
        if self.options.overwrite:
            shutil.rmtree(folder, ignore_errors=True)
        return make_folder(folder), replace(self.options, overwrite=False, resume=True)

    def _open(self, video: ListedVideo) -> FrameSource:
        frames = self._frames
        return open_source(video.source, start=frames.start, stop=frames.stop, stride=frames.stride, name=video.name)

    def _failed(self, video: ListedVideo, error: GenVISError, *, seconds: float) -> Outcome:
        """Write down why a video failed, unless it has a result."""
        earlier = read_manifest(self.store, video.key)
        place = self.store.local(video.folder)
        is_there = place is not None and (place / "result.json").exists() and not self.skip_finished
        if (earlier is not None and earlier.has_result) or is_there:
            return Outcome(video, "failed", earlier, error=error)
        manifest = self._manifest(
            video, state="failed", frames=0, seconds=seconds, problem=str(error), fingerprint=self._run
        )
        manifest.write(self.store)
        return Outcome(video, "failed", manifest, error=error)

    def _manifest(self, video: ListedVideo, *, fingerprint: Fingerprint, seconds: float, **what: Any) -> Manifest:
        return Manifest(
            key=video.key,
            name=video.name,
            source=video.label,
            folder=video.folder,
            seconds=round(seconds, 3),
            fingerprint=fingerprint.to_json(),
            machine=platform.node(),
            **what,
        )


def _stamp_of(source: NamedSource) -> Stamp | None:
    """Return the identity of a source's file as fingerprints hold it, as far as that costs nothing; else None."""
    if isinstance(source, RemoteFile):
        return source.stamp
    if isinstance(source, int | tuple) or not Path(source).is_file():
        return None
    return files_stamp([Path(source)], name=str(source))
