"""The page's plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import tables
from experiments.configurations import GENVIS, GENVIS_1, MATCHING, MINVIS, UVLA
from experiments.results import ResultSet, Score, Value
from experiments.shares import absence_bounds, kept_share, switch_rate
from experiments.validation_sets import OBJECT_COUNTS, PIECES
from genvis.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people who see no red or no green, too (Okabe and Ito).
_BLUE, _ORANGE, _GREEN, _PINK, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
_COLORS = {MINVIS: _GREY, MATCHING: _PINK, UVLA: _ORANGE, GENVIS: _BLUE, GENVIS_1: _GREEN}
QUERIES = 20
"""Tracks that a model of these experiments can have."""
TRAINING_FRAMES = 15
"""Frames of a training sample."""


def draw_plots(results: ResultSet, folder: Path) -> list[Path]:
    """Draw every plot for which there are results.

    Args:
        results: All of them.
        folder: Where the pictures go.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    drawn = []
    for name, draw in (
        ("table4", draw_table4),
        ("figure3", draw_figure3),
        ("online_figure3", draw_online_figure3),
        ("limits_length", draw_length),
        ("limits_absence", draw_absence),
        ("limits_objects", draw_objects),
    ):
        figure = draw(results)
        if figure is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"reproduction_{name}.png"
            # Without the version of matplotlib in it, so that equal results give equal files.
            figure.savefig(path, dpi=160, metadata={"Software": None})
            drawn.append(path)
    return drawn


def draw_table4(results: ResultSet) -> "Figure | None":
    """Draw AP of every row of Table 4: seeds as dots, the mean as a line."""
    measured = {
        title: [results.value(one, one.plan(name), "ap") for name in tables.TABLE_SETS]
        for title, one in tables.TABLE4.items()
    }
    found = [(title, values) for title, values in measured.items() if any(values)]
    if not found:
        return None
    figure, axes = _new_figure(len(tables.TABLE_SETS), (10, 0.8 + 0.42 * len(found)))
    for place, (axis, name) in enumerate(zip(axes, tables.TABLE_SETS, strict=True)):
        for row, (_, values) in enumerate(found):
            value = values[place]
            if value is not None:
                axis.plot(value.values, [row] * len(value.values), "o", color=_BLUE, alpha=0.55, markersize=5)
                axis.plot([value.mean] * 2, [row - 0.28, row + 0.28], color=_BLUE, linewidth=2.2)
        axis.set(title=f"set “{name}”", xlabel="video AP", ylim=(len(found) - 0.5, -0.5))
        axis.set_yticks(range(len(found)), [title for title, _ in found] if place == 0 else [""] * len(found))
        axis.set_xlim(left=0)
        axis.grid(axis="x", alpha=0.3)
    return figure


def draw_figure3(results: ResultSet) -> "Figure | None":
    """Draw AP over the clip length at inference, one plot per set, and frames per second if they were measured."""
    timing = results.timing()
    figure, axes = _new_figure(len(tables.FIGURE3_SETS) + (timing is not None), (10, 3.2))
    lengths = tables.FIGURE3_LENGTHS
    any_drawn = False
    for axis, name in zip(axes, tables.FIGURE3_SETS, strict=False):
        for title, one in tables.FIGURE3.items():
            plans = [one.plan(name, clip_length=length) for length in lengths]
            values = [results.value(one, plan, "ap") for plan in plans]
            any_drawn |= _line(axis, lengths, values, color=_COLORS[one], label=title)
        axis.set(title=f"set “{name}”", xlabel="frames of a clip at inference", ylabel="video AP", xticks=lengths)
    if timing is not None:
        for title, one in tables.FIGURE3.items():
            speeds = timing["frames_per_second"][one.name]
            axes[-1].plot(lengths, [speeds[str(length)] for length in lengths], "o-", color=_COLORS[one], label=title)
        axes[-1].set(title="speed", xlabel="frames of a clip at inference", ylabel="frames/s", xticks=lengths)
    if not any_drawn:
        return None
    _finish(axes)
    return figure


def draw_online_figure3(results: ResultSet) -> "Figure | None":
    """Draw AP over the clip length at inference of trackers that were trained frame by frame or otherwise."""
    found = results.attempt(tables.ONLINE_ATTEMPT)
    colors = (_GREY, _GREEN, _BLUE, _PINK, _ORANGE)
    lengths = [length for length in tables.ONLINE_LENGTHS if length != "auto"]
    figure, axes = _new_figure(len(tables.ONLINE_SETS), (10, 3.2))
    any_drawn = False
    for axis, name in zip(axes, tables.ONLINE_SETS, strict=True):
        for color, (title, one) in zip(colors, tables.ONLINE_FIGURE3.items(), strict=True):
            values = [found.value(one, one.plan(name, clip_length=length), "ap") for length in lengths]
            any_drawn |= _line(axis, lengths, values, color=color, label=title)
        axis.set(title=f"set “{name}”", xlabel="frames of a clip at inference", ylabel="video AP", xticks=lengths)
    if not any_drawn:
        return None
    _finish(axes)
    return figure


def draw_length(results: ResultSet) -> "Figure | None":
    """Draw AP, IDF1 and id switches over the length of the video."""
    scores: tuple[tuple[str, Score], ...] = (
        ("video AP", "ap"),
        ("IDF1", "idf1"),
        ("id switches per 100 masks", switch_rate),
    )
    figure, axes = _new_figure(3, (10, 3.2))
    drawn = False
    for axis, (heading, score) in zip(axes, scores, strict=True):
        for title, one in tables.LIMITS.items():
            values = [results.value(one, one.plan("endless", piece=piece), score) for piece in PIECES]
            drawn |= _line(axis, PIECES, values, color=_COLORS[one], label=title)
        axis.set_xscale("log")
        axis.set_xticks(PIECES, [str(piece) for piece in PIECES])
        axis.minorticks_off()
        axis.axvline(TRAINING_FRAMES, color=_GREY, linestyle=":", linewidth=1)
        axis.set(title=heading, xlabel="frames of a video")
    _finish(axes)
    return figure if drawn else None


def draw_absence(results: ResultSet) -> "Figure | None":
    """Draw how many objects come back with their track id, over the length of the absence."""
    figure, (axis,) = _new_figure(1, (5.4, 3.2))
    groups = absence_bounds()
    drawn = False
    for title, one in tables.LIMITS.items():
        plan = one.plan("endless", piece=PIECES[-1])
        values = [results.value(one, plan, kept_share(group)) for group in range(len(groups))]
        drawn |= _line(axis, range(len(groups)), values, color=_COLORS[one], label=title)
    axis.set_xticks(range(len(groups)), groups)
    axis.set(title="back with the same track id, %", xlabel="frames of absence")
    _finish([axis])
    axis.set_ylim(0, 106)
    return figure if drawn else None


def draw_objects(results: ResultSet) -> "Figure | None":
    """Draw class-agnostic AP, IDF1 and id switches over the number of objects."""
    scores: tuple[tuple[str, Score], ...] = (
        ("AP, one class", "object_ap"),
        ("IDF1", "idf1"),
        ("id switches per 100 masks", switch_rate),
    )
    figure, axes = _new_figure(3, (10, 3.2))
    drawn = False
    for axis, (heading, score) in zip(axes, scores, strict=True):
        for title, one in tables.LIMITS.items():
            values = [results.value(one, one.plan(f"crowd-{count}"), score) for count in OBJECT_COUNTS]
            drawn |= _line(axis, OBJECT_COUNTS, values, color=_COLORS[one], label=title)
        axis.axvline(QUERIES, color=_GREY, linestyle=":", linewidth=1)
        axis.set(title=heading, xlabel="objects of a video", xticks=OBJECT_COUNTS)
    _finish(axes)
    return figure if drawn else None


def _line(axis: "Axes", places: Sequence[int], values: Sequence[Value | None], *, color: str, label: str) -> bool:
    """Draw means as a line and their spreads as a band; return whether there was anything."""
    known = [(place, value) for place, value in zip(places, values, strict=True) if value is not None]
    if not known:
        return False
    at, means = [place for place, _ in known], [value.mean for _, value in known]
    axis.plot(at, means, "o-", color=color, label=label, markersize=4)
    low = [value.mean - value.spread for _, value in known]
    high = [value.mean + value.spread for _, value in known]
    axis.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)
    return True


def _finish(axes: "Sequence[Axes]") -> None:
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.set_ylim(0, 1.06 * axis.dataLim.ymax)
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(frameon=False, fontsize=8)


def _new_figure(plots: int, size: tuple[float, float]) -> "tuple[Figure, list[Axes]]":
    """Return a figure with so many plots side by side."""
    try:
        from matplotlib import rc, rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "experiments") from error
    with rc_context():
        rc("axes", titlesize=10, labelsize=9)
        rc("axes.spines", top=False, right=False)
        rc("xtick", labelsize=8)
        rc("ytick", labelsize=8)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, plots, squeeze=False)
    return figure, list(axes[0])
