"""Rows of work on a Ray cluster: one row a task, one model an actor, a live table of what each actor does.

Ray Data holds back rows until an actor is free, starts dead actors again and repeats the row that they had. What a row
does must therefore be safe to repeat. Errors must come back as rows: one that leaves an actor would end the whole job.
"""

import logging
import os
import pickle
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table

from genvis.errors import GenVISError, InputError, MissingExtraError

# Ray keeps books of every block: enough of them to level out the end, and not millions.
_MOST_BLOCKS = 10_000
_LOOK_SECONDS = 1.0
_PLAIN_SECONDS = 30.0
_TELL_SECONDS = 0.5


@dataclass(frozen=True)
class RayPool:
    """Which cluster, and how many actors on it.

    Attributes:
        address: Of a cluster, ``auto`` for the one that this machine belongs to, or None to start one here.
        actors: How many at most; None takes as many as the cluster has room for.
        gpus_per_actor: GPUs of each, also parts of one; None takes 1 where the cluster has any, and else 0.
    """

    address: str | None = None
    actors: int | None = None
    gpus_per_actor: float | None = None

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError("ray", "ray")
        if self.actors is not None and self.actors < 1:
            raise InputError(f"--actors is {self.actors}; it must be at least 1.")
        if self.gpus_per_actor is not None and not 0 <= self.gpus_per_actor <= 64:
            raise InputError(f"--gpus-per-actor is {self.gpus_per_actor:g}; it must be from 0 to 64.")


Row = dict[str, Any]
Maker = Callable[["ActorProgress"], Callable[[Any], Row]]
"""Makes what an actor does with each item: takes where to tell the progress, and returns a function of an item."""


def map_on_ray(items: Sequence[Any], maker: Maker, *, pool: RayPool, console: Console) -> Iterator[Row]:
    """Do items on the actors of a cluster, and deliver what each gives, in any order.

    Args:
        items: What can be pickled.
        maker: Called once in each actor; what it returns is called with each item, and must be safe to repeat.
        pool: The cluster.
        console: For the live table.

    Raises:
        InputError: If there is no such cluster, or it has no room for an actor.
        GenVISError: If the actors cannot be started, or the cluster breaks down.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_items

    with _cluster(pool.address):
        actors, gpus = _sizes(pool, ray.cluster_resources())
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_no_progress_timeout_s = -1  # One video may take hours.
        board = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board).remote()
        rows = [{"item": pickle.dumps(item)} for item in items]
        work = from_items(rows, override_num_blocks=max(1, min(len(rows), _MOST_BLOCKS))).map(
            cast(Any, _Actor),  # Ray takes classes too, though its types do not say so.
            fn_constructor_args=(pickle.dumps(maker), board),
            compute=ActorPoolStrategy(min_size=1, max_size=actors, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus,
        )
        with _Watch(board, total=len(rows), console=console) as watch, _explained():
            for row in work.iter_rows():
                result: Row = pickle.loads(row["result"])
                watch.done += 1
                yield result


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    _require_server(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    for name in ("ray.data", "ray.data._internal"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        options: dict[str, Any] = {"include_dashboard": False} if address is None else {"address": address}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True, **options)
    except Exception as error:  # Ray raises plain ones too.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if address is None:
            raise GenVISError(f"Ray could not be started on this machine ({reason[:200].rstrip('.')}).") from None
        raise _no_cluster(address, reason) from None
    try:
        yield
    finally:
        ray.shutdown()


def _require_server(address: str | None) -> None:
    """Find out at once whether there is a server, which takes Ray itself minutes."""
    match = re.fullmatch(r"([\w.-]+):(\d{1,5})", address or "")
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(str(address), getattr(error, "strerror", None) or "no answer") from None


def _no_cluster(address: str, reason: str) -> InputError:
    return InputError(
        f"There is no Ray cluster at '{address}' ({reason[:200]}): start one with `ray start --head`, give its token "
        "(RAY_AUTH_MODE=token) if it has one, or leave --address out to use this machine alone."
    )


def _sizes(pool: RayPool, resources: dict[str, float]) -> tuple[int, float]:
    """Return how many actors at most, and the GPUs of each.

    Raises:
        InputError: If not even one has room.
    """
    gpus = pool.gpus_per_actor
    if gpus is None:
        gpus = 1.0 if resources.get("GPU", 0) >= 1 else 0.0
    room = int(resources.get("CPU", 0))
    if gpus:
        room = min(room, int(resources.get("GPU", 0) / gpus))
    if room < 1:
        raise InputError(
            f"The Ray cluster has {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs, no room for "
            f"an actor of 1 CPU and {gpus:g} GPUs: lower --gpus-per-actor, or add machines."
        )
    return pool.actors or room, gpus


@contextmanager
def _explained() -> Iterator[None]:
    """Raise what Ray says of a job that ended as one sentence."""
    from ray.exceptions import RayError

    try:
        yield
    except GenVISError:
        raise
    except (RayError, RuntimeError, ConnectionError) as error:
        cause = getattr(error, "cause", None) or error.__cause__ or error
        words = str(cause).strip().splitlines()
        reason = (words[-1] if words else type(cause).__name__)[:300]
        raise GenVISError(f"Ray ended the job: {reason.rstrip('.')}; the same command continues it.") from None


class Board:
    """What every actor does, as it tells; an actor of its own."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def tell(self, actor: str, row: Row) -> None:
        """Take what an actor does."""
        self._rows[actor] = {**row, "at": time.time()}

    def rows(self) -> dict[str, Row]:
        """Return what all actors do."""
        return self._rows


class ActorProgress:
    """How an actor tells the board what it does, at most twice a second.

    Args:
        board: The board's handle.
    """

    def __init__(self, board: Any) -> None:
        import ray

        context = ray.get_runtime_context()
        self._board, self._actor = board, context.get_actor_id() or "here"
        self._where = f"{ray.util.get_node_ip_address()}:{os.getpid()}"
        self._told = 0.0

    def __call__(self, item: str, done: int, total: int | None, *, always: bool = False) -> None:
        """Tell how far an item is."""
        now = time.monotonic()
        if always or now - self._told > _TELL_SECONDS:
            self._told = now
            row = {"where": self._where, "item": item, "frames": done, "total": total}
            self._board.tell.remote(self._actor, row)


class _Actor:
    """Ray's callable: made once in each actor."""

    def __init__(self, maker: bytes, board: Any) -> None:
        self._work = pickle.loads(maker)(ActorProgress(board))

    def __call__(self, row: Row) -> Row:
        return {"result": pickle.dumps(self._work(pickle.loads(row["item"])))}


class _Watch(threading.Thread):
    """Shows what the actors do while the driver waits.

    Attributes:
        done: Items that are done.
    """

    def __init__(self, board: Any, *, total: int, console: Console) -> None:
        super().__init__(name="watch", daemon=True)
        self.done = 0
        self._board, self._total, self._console = board, total, console
        self._ended = threading.Event()
        self._frames: dict[str, tuple[float, int, float]] = {}
        self._live = Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None

    def __enter__(self) -> "_Watch":
        if self._live is not None:
            self._live.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
        if self._live is not None:
            self._live.stop()

    def run(self) -> None:
        import ray

        told = time.monotonic()
        while not self._ended.wait(_LOOK_SECONDS):
            try:
                rows = ray.get(self._board.rows.remote(), timeout=5)
            except Exception:  # The board starts again after its machine was lost; the next look will do.
                continue
            rates = {actor: self._rate(actor, row) for actor, row in rows.items()}
            if self._live is not None:
                self._live.update(status_table(rows, rates, done=self.done, total=self._total))
            elif time.monotonic() - told > _PLAIN_SECONDS:
                told = time.monotonic()
                speed = sum(rates.values())
                self._console.print(
                    f"{self.done:,} of {self._total:,} videos, {len(rows)} actors, {speed:.1f} frames/s",
                    highlight=False,
                )

    def _rate(self, actor: str, row: Row) -> float:
        """Return the frames per second of an actor, over the last looks."""
        now, frames = time.monotonic(), row["frames"]
        before, earlier, rate = self._frames.get(actor, (now, frames, 0.0))
        if now > before and frames >= earlier:
            rate = 0.7 * rate + 0.3 * (frames - earlier) / (now - before)
        self._frames[actor] = (now, frames, rate)
        return rate


def status_table(rows: dict[str, Row], rates: dict[str, float], *, done: int, total: int) -> Table:
    """Return the table of the actors.

    Args:
        rows: What each tells, by actor.
        rates: Frames per second, by actor.
        done: Videos done.
        total: Videos in all.
    """
    table = Table(title=f"{done:,} of {total:,} videos, {sum(rates.values()):.1f} frames/s", title_justify="left")
    for name in ("actor", "video", "frames", "frames/s"):
        table.add_column(name, justify="left" if name in ("actor", "video") else "right")
    for actor, row in sorted(rows.items(), key=lambda pair: pair[1]["where"]):
        of = "?" if row["total"] is None else f"{row['total']:,}"
        table.add_row(row["where"], row["item"], f"{row['frames']:,} of {of}", f"{rates.get(actor, 0.0):.1f}")
    return table
