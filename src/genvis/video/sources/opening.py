"""Sources opened by what a user names: a path, a pattern, a camera, an address, frames in memory."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any, TextIO, cast
from urllib.parse import unquote, urlsplit

from genvis.errors import InputError
from genvis.files import printable
from genvis.image_files import is_image
from genvis.storage.addresses import is_stored, scheme_of, stem_of, without_credentials
from genvis.storage.fetching import FetchCache, RemoteFile, matching_files, remote_file
from genvis.video.sources.animations import AnimationSource, animation_length
from genvis.video.sources.container import ContainerSource
from genvis.video.sources.decoding import Location
from genvis.video.sources.frames_in_memory import ArraySource, FrameLike
from genvis.video.sources.image_folders import ImageSource, natural_key
from genvis.video.sources.reconnection import DEFAULT_ATTEMPTS, Tell
from genvis.video.sources.source import FrameRange, FrameSource
from genvis.video.sources.structure.raw_streams import has_untimed_pictures

Source = str | Path | int | RemoteFile | Sequence[Path] | FrameLike | Iterable[FrameLike] | FrameSource
"""Anything that :func:`open_source` takes."""

NamedSource = str | Path | int | RemoteFile | tuple[Path, ...]
"""A source that can be named on a command line, as :func:`expand_sources` returns it."""

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "m2v", "ts", "mts", "m2ts", "wmv", "asf", "flv"),
        *("ogv", "ogg", "3gp", "3g2", "mxf", "vob", "dv", "gif", "apng", "y4m", "h264", "h265", "hevc", "ivf", "rm"),
        *("264", "265", "avc", "mjpeg", "mjpg", "nut", "f4v", "divx", "ogm", "qt", "mpe", "mpv", "m2p", "wtv", "obu"),
    )
)
NO_SOURCE = "There is no source: name a video, a folder of images, a camera's number or an address."
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
CAMERA_DEVICE = re.compile(r"/dev/video\d+")
LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "mms", "tcp"})
# A playlist on disk must not make FFmpeg fetch something from the network. It is read from its beginning even if it has
# no end mark.
LOCAL_OPTIONS = {"protocol_whitelist": "file,crypto,data", "live_start_index": "0"}
DEFAULT_IMAGE_RATE = 24.0


def open_source(
    source: Source,
    *,
    start: int = 0,
    stop: int | None = None,
    stride: int = 1,
    image_rate: float = DEFAULT_IMAGE_RATE,
    timeout: float = 10.0,
    reconnect: int = DEFAULT_ATTEMPTS,
    on_drop: Tell | None = None,
    name: str | None = None,
    bgr: bool = False,
) -> FrameSource:
    """Open one video, whatever it is.

    Args:
        source: A video file of any container that FFmpeg reads; an image; a folder or a pattern (``"shots/*.png"``) of
            images, sorted naturally; a camera's number (0, or ``"0"`` where no file is called so); an address
            (``rtsp://``, ``http://`` and others); a file in a store (``s3://`` and whatever fsspec opens), which is
            fetched into a bounded cache first; a sequence of image paths; an array (T, H, W, 3) uint8 RGB, a tensor
            of that or (T, 3, H, W), one PIL image, or an iterable of frames (arrays, tensors, PIL images); or an open
            source, which is returned as it is.
        start: First frame to take, from 0.
        stop: The first frame not to take; None for the end.
        stride: Take every how many frames.
        image_rate: Frames per second that still images, and frames in memory, stand for.
        timeout: Seconds without an answer or a frame after which a stream or camera counts as stalled.
        reconnect: How often in a row a stream or camera that drops or stalls is connected to again, after pauses of 1,
            2, 4, ... at most 30 seconds; 0 gives up at once. Its times run on meanwhile.
        on_drop: Called with a sentence whenever that happens, in the thread that reads.
        name: Name of the video; None derives it from the source.
        bgr: Whether arrays and tensors in memory are BGR, as OpenCV gives them.

    Returns:
        A source of :class:`Frame`, to iterate in a ``with`` block.

    Raises:
        InputError: If there is no such source, it cannot be opened, or the range is none.
    """
    frames = FrameRange(start, stop, stride)
    if isinstance(source, FrameSource):
        if (frames, name) != (FrameRange(), None):
            raise InputError("An open source keeps its own range and name: give them where it is opened.")
        return source
    if isinstance(source, RemoteFile) or (isinstance(source, str) and is_stored(source)):
        file = source if isinstance(source, RemoteFile) else remote_file(source)
        return _open_fetched(file, frames=frames, image_rate=image_rate, name=name or source_name(file))
    live = partial(ContainerSource, frames=frames, reconnect=reconnect, on_drop=on_drop)
    if isinstance(source, int):
        return live(camera(source, timeout), name=name or source_name(source))
    if isinstance(source, str | Path):
        return _open_text(source, frames=frames, image_rate=image_rate, timeout=timeout, name=name, live=live)
    if isinstance(source, list | tuple) and source and all(isinstance(item, str | Path) for item in source):
        paths = [Path(item) for item in source]
        if missing := [str(path) for path in paths if not path.exists()]:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise InputError(f"There is no file {', '.join(map(repr, missing[:3]))}{more}: check the paths.")
        return ImageSource(paths, name=name or source_name(tuple(paths)), frames=frames, frame_rate=image_rate)
    images = _frames_in_memory(source)
    return ArraySource(images, name=name or "frames", frames=frames, frame_rate=image_rate, bgr=bgr)


def _open_fetched(file: RemoteFile, *, frames: FrameRange, image_rate: float, name: str) -> FrameSource:
    """Open a file of a store; its local copy stays in the cache as long as the source is open."""
    with ExitStack() as stack:
        path, label = stack.enter_context(FetchCache().fetched(file)), without_credentials(file.address)
        try:
            source = _open_text(
                path,
                frames=frames,
                image_rate=image_rate,
                timeout=0,
                name=name,
                live=ContainerSource,
                label=label,
            )
        except InputError as error:  # People know the address, and not where its copy lies.
            raise InputError(str(error).replace(str(path), label)) from None
        source.came_from(file.stamp, release=stack.pop_all())
        return source


def is_camera(source: NamedSource) -> bool:
    """Whether a source is a camera or an address that only ever is live."""
    if isinstance(source, RemoteFile | tuple):
        return False
    text = str(source)
    return isinstance(source, int) or _camera_number(text) is not None or scheme_of(text) in LIVE_SCHEMES


def _frames_in_memory(source: Any) -> Iterable[FrameLike]:
    """Return what holds frames as an iterable of them.

    Raises:
        InputError: If it holds none.
    """
    shape = getattr(source, "shape", None)
    if shape is not None:
        if len(shape) != 4:
            raise InputError(f"Frames in memory must be (T, H, W, 3) uint8 RGB, not {tuple(shape)} {source.dtype}.")
        return cast(Iterable[FrameLike], source)
    if hasattr(source, "getbands"):  # One PIL image.
        return [cast(FrameLike, source)]
    if source is None:
        raise InputError("The source is None: give a file, a folder, a camera's number, an address or frames.")
    if not isinstance(source, Iterable):
        kind = type(source).__name__
        reader = "its file name, or the frames that it reads with bgr=True" if "Capture" in kind else "a file or frames"
        raise InputError(f"A {kind} is no source of frames: give {reader}.")
    return source


def _open_text(
    source: str | Path,
    *,
    frames: FrameRange,
    image_rate: float,
    timeout: float,
    name: str | None,
    live: Callable[..., ContainerSource],
    label: str | None = None,
) -> FrameSource:
    if not str(source).strip():
        raise InputError(NO_SOURCE)
    text = str(source)
    if _is_address(text):
        return live(_stream(text, timeout), name=name or source_name(text))
    path = _path_of(text)
    number = _camera_number(text)
    if number is not None:
        return live(camera(number, timeout), name=name or source_name(number))
    matches = [path] if path.exists() else _matches(text)
    if len(matches) == 1:
        path = matches[0]
    images = images_in(path) if path.is_dir() else [match for match in matches if is_image(match)]
    if not path.is_dir() and len(matches) == 1 and not path.is_file():
        raise InputError(f"'{printable(path)}' is a pipe or a device, and no file: name a file, or a stream's address.")
    is_untimed = path.suffix.lower() == ".gif" and path.is_file() and has_untimed_pictures(path)
    if is_untimed or (path.is_file() and images and animation_length(path) > 1):
        return AnimationSource(path, name=name or path.stem, frames=frames)
    if images:
        stem = path.stem if path.is_file() else _name_of(path if path.is_dir() else images[0].parent)
        return ImageSource(images, name=name or stem, frames=frames, frame_rate=image_rate)
    if path.is_dir():
        raise InputError(f"The folder '{printable(path)}' holds no image: name one of its files or folders.")
    if len(matches) > 1:
        raise InputError(
            f"'{printable(text)}' matches {len(matches)} files where one video is wanted: name one of them."
        )
    # An absolute path, so that FFmpeg takes no colon in a name for a protocol.
    location = Location(str(path.absolute()), label=label or printable(path), path=path, options=LOCAL_OPTIONS)
    return ContainerSource(location, name=name or path.stem, frames=frames)


def source_name(source: NamedSource) -> str:
    """Return the name of the video that a source is, for its outputs, whether it can be opened or not."""
    if isinstance(source, RemoteFile):
        return stem_of(unquote(source.address))
    if isinstance(source, tuple):
        return _name_of(source[0].parent)
    text = str(source)
    number = source if isinstance(source, int) else _camera_number(text)
    if number is not None:
        return f"camera{number}"
    if _is_address(text):
        return _stream_name(text)
    path = _path_of(text)
    return _name_of(path) if path.is_dir() else path.stem


def _is_address(text: str) -> bool:
    return bool(ADDRESS.match(text)) and not text.lower().startswith("file://")


def _path_of(text: str) -> Path:
    return Path(unquote(text[len("file://") :]) if text.lower().startswith("file://") else text)


def _camera_number(text: str) -> int | None:
    """Return the number of the camera that a text names; a file of such a name goes before."""
    if CAMERA_DEVICE.fullmatch(text) or (text.isdecimal() and not Path(text).exists()):
        return int(text.removeprefix("/dev/video"))
    return None


def _matches(pattern: str) -> list[Path]:
    if not has_magic(pattern):
        raise InputError(f"There is no file or folder '{printable(pattern)}'.")
    matches = sorted((Path(match) for match in glob(pattern, recursive=True)), key=natural_key)
    if not matches:
        raise InputError(f"No file matches '{printable(pattern)}'.")
    return matches


def images_in(folder: Path) -> list[Path]:
    """Return the images directly in a folder, sorted naturally; hidden files are left out."""
    return sorted((path for path in folder.iterdir() if is_image(path) and path.is_file()), key=natural_key)


def expand_sources(sources: Sequence[str | Path | int], *, stdin: TextIO | None = None) -> list[NamedSource]:
    """Turn what was typed on a command line into one entry per video, each for :func:`open_source`.

    ``-`` stands for a list on standard input, one source per line (empty lines and lines that start with ``#`` are
    skipped). Images of one folder that are named singly, as a shell does with ``shots/*.png``, are one video. A pattern
    stands for the videos it matches, and its images for one video per folder. A folder without images stands for the
    videos and the image folders directly in it, as in DAVIS and YouTube-VIS.

    Args:
        sources: Paths, patterns, camera numbers, addresses or ``-``.
        stdin: Where ``-`` reads; None for standard input.

    Raises:
        InputError: If there is nothing, or an entry matches nothing.
    """
    entries: list[str | Path | int] = []
    for source in sources:
        if source == "-":
            lines = (line.strip() for line in (stdin or sys.stdin))
            entries += [line for line in lines if line and not line.startswith("#")]
        else:
            entries.append(source)
    expanded: list[NamedSource | Path] = []
    for entry in entries:
        expanded += _expand(entry)
    if not expanded:
        raise InputError(NO_SOURCE)
    return _group_images(expanded)


def missing_files(sources: Sequence[NamedSource]) -> list[str]:
    """Return the names of local files among some sources that do not exist; cameras and addresses are none."""
    return [
        str(source)
        for source in sources
        if isinstance(source, str | Path)
        and not Path(source).exists()
        and not (ADDRESS.match(str(source)) or str(source).isdecimal() or CAMERA_DEVICE.fullmatch(str(source)))
    ]


def _expand(entry: str | Path | int) -> list[NamedSource | Path]:
    if not str(entry).strip():
        raise InputError(NO_SOURCE)
    if isinstance(entry, int) or (ADDRESS.match(str(entry)) and not str(entry).lower().startswith("file://")):
        return [entry] if isinstance(entry, int) else _expand_address(str(entry))
    path = Path(entry)
    if path.is_dir():
        if images_in(path):
            return [path]
        children = sorted((child for child in path.iterdir() if not child.name.startswith(".")), key=natural_key)
        videos = [child for child in children if _is_video(child) or (child.is_dir() and images_in(child))]
        if not videos:
            raise InputError(f"The folder '{printable(path)}' holds no image, no video and no folder of images.")
        return list(videos)
    if path.exists() or not has_magic(str(entry)):
        return [path if path.exists() else entry]
    found = [match for match in _matches(str(entry)) if _is_video(match) or is_image(match) or match.is_dir()]
    if not found:
        raise InputError(f"'{printable(entry)}' matches no image, no video and no folder.")
    return list(found)


def _expand_address(address: str) -> list[NamedSource | Path]:
    """Return what an address stands for: a stream, a file of a store, or the videos of a folder or pattern there."""
    is_pattern = any(sign in urlsplit(address).path for sign in "*[")
    if scheme_of(address) in ("http", "https") and is_pattern:
        files: list[NamedSource | Path] = [file.address for file in matching_files(address) if _is_video_name(file)]
    elif not is_stored(address):
        return [address]
    else:
        found = matching_files(address)
        is_one = (
            not is_pattern and len(found) == 1 and PurePosixPath(found[0].address).name == PurePosixPath(address).name
        )
        files = list(found) if is_one else [file for file in found if _is_video_name(file)]
    if not files:
        raise InputError(f"'{without_credentials(address)}' holds no video.")
    return files


def _is_video_name(file: RemoteFile) -> bool:
    return PurePosixPath(urlsplit(file.address).path).suffix.lower() in VIDEO_SUFFIXES


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def _group_images(entries: Sequence[NamedSource | Path]) -> list[NamedSource]:
    """Put image files of the same folder together, at the place of the first of them."""
    groups: dict[Path, list[Path]] = {}
    ordered: list[NamedSource | list[Path]] = []
    for entry in entries:
        if isinstance(entry, Path) and is_image(entry) and entry.is_file():
            if entry.parent not in groups:
                groups[entry.parent] = []
                ordered.append(groups[entry.parent])
            groups[entry.parent].append(entry)
        else:
            ordered.append(entry)
    return [_one_or_many(entry) if isinstance(entry, list) else entry for entry in ordered]


def _one_or_many(images: list[Path]) -> Path | tuple[Path, ...]:
    return images[0] if len(images) == 1 else tuple(images)


def _name_of(folder: Path) -> str:
    return folder.resolve().name or "images"


def camera(number: int, timeout: float) -> Location:
    """Return where FFmpeg finds a camera on this system.

    Raises:
        InputError: If there is no camera of that number.
    """
    label = f"camera {number}"
    if sys.platform == "darwin":
        return Location(f"{number}:none", label=label, format="avfoundation", timeout=timeout, live=True)
    if sys.platform == "win32":
        from av.device import enumerate_input_devices

        cameras = [device for device in enumerate_input_devices("dshow") if "video" in device.media_types]
        if number >= len(cameras):
            raise InputError(f"There is no camera {number}: this computer has {len(cameras)}, counted from 0.")
        return Location(f"video={cameras[number].name}", label=label, format="dshow", timeout=timeout, live=True)
    if not Path(f"/dev/video{number}").exists():
        raise InputError(f"There is no camera {number}: '/dev/video{number}' does not exist.")
    return Location(f"/dev/video{number}", label=label, format="video4linux2", timeout=timeout, live=True)


def _stream(address: str, timeout: float) -> Location:
    scheme = urlsplit(address).scheme.lower()
    # RTSP over UDP loses packets on busy networks; cameras speak TCP as well.
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if scheme in ("rtsp", "rtsps") else {}
    return Location(
        address, label=without_credentials(address), options=options, timeout=timeout, live=scheme in LIVE_SCHEMES
    )


def _stream_name(address: str) -> str:
    parts = urlsplit(address)
    stem = Path(unquote(parts.path)).stem or parts.hostname or "stream"
    return re.sub(r"[^\w.-]+", "_", stem)
