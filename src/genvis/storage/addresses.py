"""Addresses of files and folders elsewhere: what is one, what a message may say of it, and what identifies it."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, urlsplit

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# What FFmpeg reads by itself, while it arrives.
STREAM_SCHEMES = frozenset({"http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "mms", "tcp"})
# Parts of a query that sign it, or end its validity: they change from day to day, and are secret.
_SECRET = re.compile(r"sig|token|key|secret|password|credential|expires|x-(amz|goog)-", re.IGNORECASE)


def scheme_of(text: str | Path) -> str | None:
    """Return the scheme of an address in lower case, or None for a path; ``file://`` is a path too."""
    match = _ADDRESS.match(str(text))
    scheme = match[1].lower() if match else None
    return None if scheme in ("file", "local") else scheme


def is_remote(text: str | Path) -> bool:
    """Whether a text is the address of something elsewhere."""
    return scheme_of(text) is not None


def is_stored(text: str | Path) -> bool:
    """Whether a video of that address is a file in a store, which is fetched; streams and web videos are read."""
    return scheme_of(text) not in (None, *STREAM_SCHEMES)


def without_credentials(address: str | Path) -> str:
    """Return an address as messages and records may hold it: without user, password and query."""
    if not is_remote(address):
        return str(address)
    parts = urlsplit(str(address))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def identity_of(address: str) -> str:
    """Return what identifies an address over time: without user and password, and without signatures in its query."""
    parts = urlsplit(address)
    query = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _SECRET.search(pair[0]))
    named = "&".join(f"{name}={value}" for name, value in query)
    fragment = f"#{parts.fragment}" if parts.fragment else ""  # In stores a number sign is a part of a name.
    return f"{without_credentials(address)}{'?' if named else ''}{named}{fragment}"


def stem_of(address: str) -> str:
    """Return the name of the file or folder of an address, without its suffix."""
    parts = urlsplit(address)
    return PurePosixPath(parts.path).stem or parts.netloc.rpartition("@")[2] or "video"


def joined(address: str, name: str) -> str:
    """Return the address of a file in a folder."""
    return f"{address.rstrip('/')}/{name}"
