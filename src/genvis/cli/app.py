"""``genvis app``: the web application."""

from pathlib import Path

from genvis.errors import InputError, MissingExtraError


def app(
    folder: Path = Path(),
    *,
    port: int = 8765,
    host: str = "127.0.0.1",
    no_browser: bool = False,
    max_upload: float = 20.0,
) -> None:
    """Segment videos, watch and correct results, and take them along, in the browser.

    Only files below the folder can be seen, and only with the token of the address that is printed.

    Args:
        folder: Folder with videos and results; uploads, results and exports are written into it.
        port: To listen on; 0 takes a free one.
        host: Address to listen on. Anything but 127.0.0.1 can be reached from other computers.
        no_browser: Print the address and open no browser.
        max_upload: Largest upload in gigabytes.
    """
    from importlib.util import find_spec

    for library in ("starlette", "uvicorn"):
        if find_spec(library) is None:
            raise MissingExtraError(library, "app")
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}; it must be from 0 to 65535.")
    if not max_upload > 0:
        raise InputError(f"--max-upload is {max_upload:g}; it must be more than 0 gigabytes.")
    from genvis.app.launch import serve

    serve(
        folder,
        host=host,
        port=port,
        open_browser=not no_browser,
        most_upload=int(max_upload * 1e9),
        say=lambda sentence: print(sentence, flush=True),
    )
