"""The archive that the servers of YouTube-VIS and OVIS take."""

import zipfile
from pathlib import Path

from genvis.evaluation.results_file import read_entries
from genvis.files import atomic_file

# The earliest date that a zip archive can hold: the same results give the same bytes on every day.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def write_submission(results: str | Path, archive: str | Path) -> None:
    """Pack results for a server: a zip archive with one file, ``results.json``, at its top.

    The same results give the same archive, byte by byte.

    Args:
        results: The results file (JSON).
        archive: The zip file to write; it appears when it is complete.

    Raises:
        InputError: If the results cannot be read, are not JSON, or are no list.
    """
    source = Path(results)
    read_entries(source)
    member = zipfile.ZipInfo("results.json", _NO_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    member.create_system = 3  # Unix, also when packed on Windows
    with atomic_file(archive) as partial, zipfile.ZipFile(partial, "w") as packed:
        packed.writestr(member, source.read_bytes(), compresslevel=6)
