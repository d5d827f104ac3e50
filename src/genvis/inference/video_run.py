"""One video being segmented as a whole: it can be stopped, saved, and continued in another process."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from genvis.errors import InputError
from genvis.inference.mask_store import MaskStore
from genvis.inference.run_setup import RunSetup
from genvis.inference.scoring import Selection, WholeVideo
from genvis.inference.state_file import read_state, write_state
from genvis.inference.trackers.offline import OfflineTracking
from genvis.results.types import FrameStamp, VideoResult
from genvis.video.sources.source import Frame

FORMAT = "genvis-run-1"
STATE_FILE, MASKS_FILE = "state.safetensors", "masks.bin"


class VideoRun:
    """The whole-video procedure, clip after clip; made by `VideoSegmenter.start`.

    Args:
        setup: The model and how to run it.
        name: Name of the video.
        folder: Where `save` keeps what is done so far, so that `restore` continues it; None for runs that are not to
            be resumed.
    """

    def __init__(self, setup: RunSetup, *, name: str, folder: Path | None = None) -> None:
        self.name = name
        self._setup = setup
        self._folder = folder
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"The folder {folder} cannot be made ({error.strerror}): choose another.") from None
        self._video: WholeVideo | None = None
        self._tracking = setup.tracking()
        self._offline = OfflineTracking(setup.model) if setup.is_offline else None
        self._stamps: list[FrameStamp] = []

    @property
    def frames_done(self) -> int:
        """How many frames have been taken."""
        return len(self._stamps)

    @property
    def last_index(self) -> int:
        """Place in the source of the last frame that was taken; -1 before the first."""
        return self._stamps[-1].index if self._stamps else -1

    @property
    def bytes_kept(self) -> int:
        """What the masks of the frames so far take, in memory or on disk."""
        return self._video.store.bytes_kept if self._video else 0

    def objects(self, score_threshold: float) -> int:
        """Return how many identities reach a class score so far."""
        return self._video.objects(score_threshold) if self._video else 0

    def add(self, frames: Sequence[Frame]) -> None:
        """Take the next clip.

        Raises:
            InputError: If a frame has another shape, size or type than those before, or the disk is full.
        """
        tensor, geometry = self._setup.prepare([frame.image for frame in frames])
        if self._video is None:
            path = None if self._folder is None else self._folder / MASKS_FILE
            self._video = WholeVideo(geometry=geometry, store=MaskStore(path))
        if geometry.frame != self._video.geometry.frame:
            raise InputError(
                f"A frame of '{self.name}' is {geometry.frame} where the others are {self._video.geometry.frame} "
                "(height, width): all frames of a video need one size."
            )
        stamps = [FrameStamp(index=frame.index, time=frame.time, name=frame.name) for frame in frames]
        if self._offline is None:
            self._video.add(self._tracking.step(tensor), stamps)
        else:
            self._offline.add(tensor)
        self._stamps += stamps

    def result(self, selection: Selection, *, problem: str | None = None) -> VideoResult:
        """Select, score and return the tracks of the frames so far.

        Args:
            selection: Which pairs of identity and class become tracks.
            problem: What the source could not deliver.

        Raises:
            InputError: If there was no frame.
        """
        if self._video is None:
            detail = f": {problem}" if problem else ""
            raise InputError(f"'{self.name}' has no frame that could be read{detail}.")
        if self._offline is not None and not self._video.stamps:
            done = 0
            for piece in self._offline.finish():
                length = piece.mask_logits.shape[0]
                self._video.add(piece, self._stamps[done : done + length])
                done += length
        height, width = self._video.geometry.frame
        return VideoResult(
            name=self.name,
            height=height,
            width=width,
            frames=tuple(self._stamps),
            tracks=self._video.tracks(selection, self._setup.labels),
            categories_name=self._setup.labels.name,
            problem=problem,
        )

    def save(self) -> None:
        """Keep what is done in the run's folder; does nothing before the first frame, or for an offline model.

        Raises:
            InputError: If the disk is full, or the run has no folder.
        """
        if self._folder is None:
            raise InputError(f"The run of '{self.name}' was started without a folder to save it in.")
        if self._video is None or self._offline is not None:
            return
        tensors, index = self._video.state()
        tensors |= {f"tracking.{name}": tensor for name, tensor in self._tracking.state_tensors().items()}
        tensors["mask_index"] = torch.from_numpy(index)
        facts = {
            "format": FORMAT,
            "model": self._setup.fingerprint,
            "settings": self._setup.settings(),
            "frame": self._video.geometry.frame,
            "stamps": [asdict(stamp) for stamp in self._stamps],
        }
        write_state(self._folder / STATE_FILE, tensors, facts)

    def restore(self) -> bool:
        """Continue what `save` kept; return False if there is nothing to continue.

        Raises:
            InputError: If it is damaged, or was made by another model or with other settings.
        """
        path = None if self._folder is None else self._folder / STATE_FILE
        if path is None or not path.exists() or self._offline is not None:
            return False
        tensors, facts = read_state(path)
        wanted = (FORMAT, self._setup.fingerprint, self._setup.settings())
        if (facts.get("format"), facts.get("model"), facts.get("settings")) != wanted:
            raise InputError(
                f"'{self.name}' was begun with another model or other settings than these: repeat it with those, or "
                "start anew with --overwrite true."
            )
        height, width = facts["frame"]
        geometry = self._setup.geometry(height, width)
        self._video = WholeVideo(geometry=geometry, store=MaskStore(path.with_name(MASKS_FILE)))
        self._stamps = [FrameStamp(**stamp) for stamp in facts["stamps"]]
        index = tensors.pop("mask_index").numpy().astype(np.int64)
        scores = {"class_scores": tensors.pop("class_scores")}
        self._video.restore(scores, index, self._stamps)
        self._tracking.load_state_tensors({name.removeprefix("tracking."): value for name, value in tensors.items()})
        return True

    def close(self) -> None:
        """Release the files; a temporary one is gone then."""
        if self._video is not None:
            self._video.store.close()
        if self._offline is not None:
            self._offline.close()
