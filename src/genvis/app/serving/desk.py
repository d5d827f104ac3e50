"""What all routes share: the folder, the queue, the open pages, and the results that are open in them."""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from genvis.app.library import Library, LibraryResult, LibraryVideo
from genvis.app.reviewing.corrected_result import CorrectedResult
from genvis.app.reviewing.mask_index import open_index
from genvis.app.serving.answers import NotFoundError
from genvis.app.serving.events import Events
from genvis.app.working.job_queue import JobQueue
from genvis.app.working.job_records import Job
from genvis.errors import InputError
from genvis.video.sources.random_access import FrameReader

# Each holds a decoder, and its masks once it is corrected.
MOST_OPEN = 3
# Text files that make FFmpeg open other files, wherever those lie.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")


@dataclass
class OpenResult:
    """A result that is open in a page.

    Attributes:
        result: Which.
        version: Changes with the file.
        corrected: Its masks and edits.
        video: The video, if it is there.
        reader: Its frames; opened by the first that is asked for.
        lock: Held while the reader is opened.
    """

    result: LibraryResult
    version: str
    corrected: CorrectedResult
    video: LibraryVideo | None
    reader: FrameReader | None = None
    lock: Lock = field(default_factory=Lock)

    def frames(self) -> FrameReader:
        """Return what reads its frames.

        Raises:
            NotFoundError: If there is no video.
            InputError: If it cannot be read.
        """
        if self.video is None:
            raise NotFoundError(f"The video of '{self.result.name}' is not in the folder.")
        with self.lock:
            if self.reader is None:
                check_no_playlist(self.video)
                index = self.corrected.index
                self.reader = FrameReader(self.video.path, indices=index.indices, times=index.times)
            return self.reader


class Desk:
    """What all routes share.

    Attributes:
        library: The folder.
        events: Tells the pages.
        queue: The jobs.
        most_upload: Bytes of the largest upload.
    """

    def __init__(self, library: Library, *, most_upload: int) -> None:
        self.library = library
        self.events = Events()
        self.queue: JobQueue
        self.most_upload = most_upload
        self._open: OrderedDict[str, OpenResult] = OrderedDict()
        self._lock = Lock()

    def video(self, identifier: str) -> LibraryVideo:
        """Return a video.

        Raises:
            NotFoundError: If there is none.
            InputError: If it is a playlist in disguise.
        """
        video = self.library.video(identifier)
        if video is None:
            raise NotFoundError("There is no such video (any more).")
        check_no_playlist(video)
        return video

    def result(self, identifier: str) -> LibraryResult:
        """Return a result.

        Raises:
            NotFoundError: If there is none.
        """
        result = self.library.result(identifier)
        if result is None:
            raise NotFoundError("There is no such result (any more).")
        return result

    def job(self, identifier: str) -> Job:
        """Return a job.

        Raises:
            NotFoundError: If there is none.
        """
        job = self.queue.job(identifier)
        if job is None:
            raise NotFoundError("There is no such job (any more).")
        return job

    def open(self, identifier: str) -> OpenResult | None:
        """Open a result, or return it as it is open; None if its index has to be made first.

        Raises:
            NotFoundError: If there is none.
            InputError: If it is damaged.
        """
        result = self.result(identifier)
        status = result.path.stat()
        version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        with self._lock:
            known = self._open.get(identifier)
            if known is not None and known.version == version:
                self._open.move_to_end(identifier)
                if known.video is None:
                    known.video = self.library.video_of(result)
                return known
            index = open_index(result.path, self.library.index_folder(result))
            if index is None:
                return None
            opened = OpenResult(result, version, CorrectedResult(index, result.path), self.library.video_of(result))
            self._open[identifier] = opened
            while len(self._open) > MOST_OPEN:
                _, oldest = self._open.popitem(last=False)
                _close(oldest)
            return opened

    def opened(self, identifier: str) -> OpenResult:
        """Return a result that has its index.

        Raises:
            NotFoundError: If there is none, or no index.
        """
        found = self.open(identifier)
        if found is None:
            raise NotFoundError("The result was changed: open it again.")
        return found

    def forget(self, identifier: str) -> None:
        """Close a result; it is opened anew when it is asked for."""
        with self._lock:
            found = self._open.pop(identifier, None)
        if found is not None:
            _close(found)

    def close(self) -> None:
        """Close all results."""
        for identifier in list(self._open):
            self.forget(identifier)


def check_no_playlist(video: LibraryVideo) -> None:
    """Raise InputError for a text that names other files, whatever the ending of its name."""
    if video.is_images:
        return
    with video.path.open("rb") as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_PLAYLISTS):
            raise InputError(f"'{video.name}' is a list of other files, and no video.")


def _close(result: OpenResult) -> None:
    if result.reader is not None:
        result.reader.close()
