"""Tables and plots of the pages on the reproduction, from all results."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from experiments import comparisons, identity, intervals, tables
from experiments.configurations import Configuration
from experiments.evaluation import EvaluationPlan
from experiments.plots import draw_plots
from experiments.results import ResultSet, Score, Value
from experiments.shares import absence_bounds, absence_count, kept_share, switch_rate
from experiments.validation_sets import ASSOCIATION_SETS, OBJECT_COUNTS, PIECES, SETS
from genvis.errors import InputError
from genvis.files import make_folder, write_text
from genvis.inference.run_setup import ClipLength

FRAME = Path(__file__).with_name("page.md")
"""Beginning of a page that does not exist yet: headings and every generated part."""

_COLUMNS = (
    ("AP", "ap"),
    ("AP50", "ap50"),
    ("AP, one class", "object_ap"),
    ("HOTA", "hota"),
    ("AssA", "assa"),
    ("DetA", "deta"),
    ("IDF1", "idf1"),
    ("id switches", "switches"),
)
_PAPER_TABLE4 = {"matching": 24.1, "correspondence-2": 27.4, "correspondence-5": 29.8, "uvla": 32.5, "genvis": 33.4}
_PAPER_TABLE5 = {"global-memory": 31.8, "genvis": 33.4}
_PAPER_TABLE6 = {"genvis-1": 33.0, "genvis": 33.4, "genvis-5": 31.3, "genvis-7": 29.7}
_PAPER_ONLINE = {
    "online-matching-resolved": 24.1,
    "online-correspondence-2-resolved": 27.4,
    "online-correspondence-5-resolved": 29.8,
    "online-uvla-resolved": 32.5,
    "online-genvis-resolved": 33.4,
}
_PAPER_ONLINE5 = {"online-global-memory-resolved": 31.8, "online-genvis-resolved": 33.4}
_PAPER_ONLINE6 = {
    "online-genvis-resolved": 33.0,
    "online-genvis-3-resolved": 33.4,
    "online-genvis-5-resolved": 31.3,
    "online-genvis-7-resolved": 29.7,
}


def write_report(results: Path, page: Path) -> str:
    """Fill in the generated parts of the page, and of its page of tables, and draw the plots.

    Args:
        results: Folder of the results.
        page: The page. The text between ``<!-- NAME -->`` and ``<!-- end NAME -->`` is replaced. If ``NAME_tables.md``
            is beside ``NAME.md``, it is filled in likewise. A page that does not exist is begun with every part. Plots
            go to the folder ``images`` beside it.

    Returns:
        A line that says what was written.

    Raises:
        InputError: If there is no result, or a page has a part that the report does not know.
    """
    found = ResultSet(results)
    if not found:
        raise InputError(f"There are no results in {results}: run some experiments first.")
    details = page.with_name(f"{page.stem}_tables{page.suffix}")
    pages = [page, details] if details.is_file() else [page]
    filled = {one: _filled_page(one, found) for one in pages}
    make_folder(page.parent)
    for one, text in filled.items():
        write_text(one, text)
    plots = draw_plots(found, page.parent / "images")
    return f"{len(found)} runs in {' and '.join(map(str, pages))}, {len(plots)} plots"


def _filled_page(page: Path, results: ResultSet) -> str:
    text = (page if page.is_file() else FRAME).read_text(encoding="utf-8")
    for name in re.findall(r"<!-- end (\S+) -->", text):
        if name not in SECTIONS:
            raise InputError(f"{page} has a part '{name}'; the report knows {', '.join(SECTIONS)}.")
        text = _filled(text, name, SECTIONS[name](results))
    return text


def _filled(text: str, name: str, content: str) -> str:
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    if not begin:
        raise InputError(f"A part of the page ends at '<!-- end {name} -->' without a beginning '<!-- {name} -->'.")
    _, end, after = rest.partition(f"<!-- end {name} -->")
    return f"{before}{begin}{content}\n{end}{after}"


def summary_section(results: ResultSet) -> str:
    """Return the scores of Table 4 that matter most, both sets side by side."""
    return _side_by_side(results, tables.TABLE4, tables.TABLE_SETS)


def table4_section(results: ResultSet) -> str:
    """Return Table 4, one table per set."""
    return _tables(results, tables.TABLE4, paper=_PAPER_TABLE4)


def table5_section(results: ResultSet) -> str:
    """Return Table 5."""
    return _tables(results, tables.TABLE5, paper=_PAPER_TABLE5)


def table6_section(results: ResultSet) -> str:
    """Return Table 6."""
    return _tables(results, tables.TABLE6, paper=_PAPER_TABLE6)


def figure3_section(results: ResultSet) -> str:
    """Return AP over the clip length at inference, and frames per second."""
    head = ["trained with", "set", *(f"N_f {length}" for length in tables.FIGURE3_LENGTHS)]
    rows = []
    for title, one in tables.FIGURE3.items():
        for name in tables.FIGURE3_SETS:
            plans = [one.plan(name, clip_length=length) for length in tables.FIGURE3_LENGTHS]
            rows.append([title, name, *_texts(results, one, plans, "ap")])
    timing = results.timing()
    if timing is not None:
        for title, one in tables.FIGURE3.items():
            speeds = timing["frames_per_second"][one.name]
            rows.append([title, "frames/s", *(f"{speeds[str(length)]:.0f}" for length in tables.FIGURE3_LENGTHS)])
    return _table(head, rows, labels=2)


def length_section(results: ResultSet) -> str:
    """Return AP and id switches over the length of the video."""
    head = ["", "", *(f"{piece} frames" for piece in PIECES)]
    rows = []
    for title, one in tables.LIMITS.items():
        plans = [one.plan("endless", piece=piece) for piece in PIECES]
        rows.append([title, "AP", *_texts(results, one, plans, "ap")])
        rows.append(["", "IDF1", *_texts(results, one, plans, "idf1")])
        rows.append(["", "id switches per 100 masks", *_texts(results, one, plans, switch_rate)])
    return _table(head, rows, labels=2)


def absence_section(results: ResultSet) -> str:
    """Return which share of the objects came back with their track id, of how many, over the length of the absence."""
    bounds = absence_bounds()
    rows = []
    for title, one in tables.LIMITS.items():
        plan = one.plan("endless", piece=PIECES[-1])
        cells = []
        for group in range(len(bounds)):
            share, count = (results.value(one, plan, score(group)) for score in (kept_share, absence_count))
            cells.append("" if share is None or count is None else f"{share.text(0)} % of {count.mean:.0f}")
        rows.append([title, *cells])
    return _table(["came back with the same track id", *(f"{bound} frames" for bound in bounds)], rows)


def objects_section(results: ResultSet) -> str:
    """Return the scores over the number of objects of a video."""
    head = ["", "", *(f"{count} objects" for count in OBJECT_COUNTS)]
    rows = []
    for title, one in tables.LIMITS.items():
        plans = [one.plan(f"crowd-{count}") for count in OBJECT_COUNTS]
        rows.append([title, "AP, one class", *_texts(results, one, plans, "object_ap")])
        rows.append(["", "IDF1", *_texts(results, one, plans, "idf1")])
        rows.append(["", "AssA", *_texts(results, one, plans, "assa")])
        rows.append(["", "id switches per 100 masks", *_texts(results, one, plans, switch_rate)])
    return _table(head, rows, labels=2)


def memory_section(results: ResultSet) -> str:
    """Return memory matching beside the other methods, one table per set."""
    return _tables(results, tables.METHODS, sets=tables.MEMORY_SETS)


def parts_section(results: ResultSet) -> str:
    """Return memory matching without some of its parts."""
    return _side_by_side(results, tables.PARTS, tables.PARTS_SETS)


def absent_section(results: ResultSet) -> str:
    """Return what leaving out masks of absent tracks changes, and occupancy-weighted propagation."""
    return _side_by_side(results, tables.ABSENT, tables.PARTS_SETS)


def attempts_section(results: ResultSet) -> str:
    """Return the rows of Table 4 of earlier attempts, and in which settings they differ from the tables above."""
    parts = []
    here = {**results.settings(), "detector": results.documents[0]["detector"]}
    for attempt in results.other_attempts():
        own_tables = (tables.ONLINE_ATTEMPT, tables.ASSOCIATION_ATTEMPT, *tables.ASSOCIATION_OTHERS)
        if attempt.folder.name.removeprefix(f"{results.folder.name}-") in own_tables:
            continue
        there = {**attempt.settings(), "detector": attempt.documents[0]["detector"]}
        changed = {name: there.get(name, "not set") for name in {**here, **there} if there.get(name) != here.get(name)}
        seeds = len({run["seed"] for run in attempt.documents})
        measured = {key.split(" ")[0] for run in attempt.documents for key in run["evaluations"]}
        sets = [one for one in tables.ATTEMPT_SETS if one in measured]
        rows = []
        for title, one in tables.ATTEMPTS.items():
            scores = [(name, score) for name in sets for score in ("ap", "switches")]
            cells = [_text(attempt.value(one, one.plan(name), score), score) for name, score in scores]
            if any(cells):
                rows.append([title, *cells])
        name = attempt.folder.name.removeprefix(f"{results.folder.name}-").replace("-", " ")
        head = ["", *(f"*{one}*, {score}" for one in sets for score in ("AP", "id switches"))]
        how = f"{_settings(changed) or 'the same settings'}; {'1 seed' if seeds == 1 else f'up to {seeds} seeds'}"
        parts.append(f"*{name.capitalize()}* ({how}):\n\n{_table(head, rows)}")
    return "\n\n".join(parts) or "None."


def _online(rows: Mapping[str, Configuration], paper: Mapping[str, float] | None = None) -> Callable[[ResultSet], str]:
    """Return a section with rows frame by frame, with results as they are by default, one table per set."""

    def section(results: ResultSet) -> str:
        return _tables(results.attempt(tables.ONLINE_ATTEMPT), rows, sets=tables.ONLINE_SETS, paper=paper)

    return section


def association_section(results: ResultSet) -> str:
    """Return the rows on the sets of which association is the question, one table per set."""
    parts = []
    series = {tables.ASSOCIATION_ATTEMPT: tables.ASSOCIATION, **tables.ASSOCIATION_OTHERS}
    for name in ASSOCIATION_SETS:
        rows = [
            (title, results.attempt(attempt), one)
            for attempt, configurations in series.items()
            for title, one in configurations.items()
        ]
        parts.append(_set_table(name, rows))
    return "\n\n".join(filter(None, parts)) or _NOTHING


def _lengths(
    attempt: str, trainings: Mapping[str, Configuration], sets: Sequence[str], lengths: Sequence[ClipLength]
) -> Callable[[ResultSet], str]:
    """Return a section with AP and IDF1 over the clip length at inference, of trackers trained differently."""

    def section(results: ResultSet) -> str:
        found = results.attempt(attempt)
        head = ["trained with", "set", *(f"clips of {one}" if one != "auto" else one for one in lengths)]
        rows = []
        for title, one in trainings.items():
            for name in sets:
                plans = [one.plan(name, clip_length=length) for length in lengths]
                both = zip(*(_texts(found, one, plans, score) for score in ("ap", "idf1")), strict=True)
                cells = [" / ".join(filter(None, cell)) for cell in both]
                if any(cells):
                    rows.append([title, f"*{name}*", *cells])
        return _table(head, rows, labels=2)

    return section


def _intervals(table: str, attempt: str = tables.ONLINE_ATTEMPT) -> Callable[[ResultSet], str]:
    """Return a section with the differences of rows of a table, with their intervals over the videos."""

    def section(results: ResultSet) -> str:
        found = results.attempt(attempt).document(intervals.FILE).get(table, {})
        columns = [(title, score) for title, score in _COLUMNS if score in intervals.NAMES]
        rows = [
            [
                f"*{name}*",
                f"{pair['second']} - {pair['first']}",
                " and ".join(map(str, reversed(pair["seeds"]))),
                *(_interval(pair["scores"][score]) for _, score in columns),
            ]
            for name, pairs in found.items()
            for pair in pairs
        ]
        return _table(["set", "difference", "seeds", *(title for title, _ in columns)], rows, labels=3)

    return section


def _order(attempt: str, steps: Sequence[comparisons.Step], sets: Sequence[str]) -> Callable[[ResultSet], str]:
    """Return a section with the steps of Tables 4 to 6, their differences in AP and AssA, and the paper's."""

    def section(results: ResultSet) -> str:
        found = results.attempt(attempt).document(intervals.FILE)
        scores = (("AP", "ap"), ("AssA", "assa"))
        rows = []
        for step in steps:
            cells = []
            for (_, score), name in itertools.product(scores, sets):
                pairs = found.get(step.table, {}).get(name, [])
                known = [one for one in pairs if (one["first"], one["second"]) == (step.first, step.second)]
                cells.append(_interval(known[0]["scores"][score]) if known else "")
            if any(cells):
                rows.append([step.title, f"{step.paper:+.1f}", *cells])
        columns = (f"*{name}*, {title}" for (title, _), name in itertools.product(scores, sets))
        return _table(["step", "paper, AP on OVIS", *columns], rows, labels=2)

    return section


def _interval(value: Mapping[str, float]) -> str:
    one = intervals.Interval(**value)
    text = f"{one.difference:+.1f} ({one.low:+.1f} to {one.high:+.1f})"
    return f"**{text}**" if one.is_sure else text


def identity_section(results: ResultSet) -> str:
    """Return how often objects are recognised by what the detector says of them."""
    found = results.attempt(tables.ONLINE_ATTEMPT).document(identity.FILE)
    head = ["set", "frames later", "by chance", "by the frame query", "by the place of the mask", "by both"]
    kinds = ("chance", "query", "place", "both")
    rows = [
        [f"*{name}*", gap, *(f"{100 * shares[kind]:.0f} %" for kind in kinds)]
        for name, gaps in found.items()
        for gap, shares in gaps.items()
    ]
    return _table(head, rows, labels=2)


def sets_section(results: ResultSet) -> str:
    """Return what the validation sets are."""
    rows = []
    for one in (*SETS.values(), *ASSOCIATION_SETS.values()):
        how = one.difficulty
        away = f"{how.out_of_sight[0]}-{how.out_of_sight[1]}" if how.leaving or how.late else "none"
        size = f"{round(one.height * how.size[0])}-{round(one.height * how.size[1])}"
        objects = f"{how.objects[0]}-{how.objects[1]}" if how.objects[0] < how.objects[1] else str(how.objects[0])
        percent = (how.occlusion, how.look_alikes, how.leaving, how.late)
        rows.append(
            [one.name, str(one.videos), str(how.length), objects, size, *(f"{100 * x:.0f} %" for x in percent), away]
        )
    head = [
        "set",
        "videos",
        "frames",
        "objects",
        "pixels",
        "meets another",
        "look-alike",
        "leaves",
        "late",
        "frames away",
    ]
    return _table(head, rows)


def runs_section(results: ResultSet) -> str:
    """Return what was run, how long it took and with which versions."""
    return _runs(results, [job.configuration for job in tables.all_jobs()])


def online_runs_section(results: ResultSet) -> str:
    """Return what was run frame by frame."""
    found = results.attempt(tables.ONLINE_ATTEMPT)
    series = (tables.ONLINE, tables.ONLINE_TABLE5, tables.ONLINE_TABLE6, tables.ONLINE_FIGURE3, tables.ONLINE_OPTIONS)
    rows = dict.fromkeys(one for rows in series for one in rows.values())
    return _runs(found, list(rows)) if found else _NOTHING


def association_runs_section(results: ResultSet) -> str:
    """Return what was run on the sets of which association is the question."""
    series = {tables.ASSOCIATION_ATTEMPT: tables.ASSOCIATION, **tables.ASSOCIATION_OTHERS}
    found = {attempt: results.attempt(attempt) for attempt in series}
    parts = [
        f"*{attempt}*: {_runs(found[attempt], list(rows.values()))}"
        for attempt, rows in series.items()
        if found[attempt]
    ]
    return "\n\n".join(parts) or _NOTHING


def _runs(results: ResultSet, jobs: Sequence[Configuration]) -> str:
    one = results.documents[0]
    settings = _settings(results.settings())
    pretraining = results.pretraining_seconds()
    rows = [["pretraining, for all of them", "1", f"{pretraining:.0f}"]] if pretraining else []
    for configuration in jobs:
        seconds = results.training_seconds(configuration)
        if seconds is not None:
            rows.append([configuration.name, str(len(seconds.values)), seconds.text(0)])
    table = _table(["run", "seeds", "seconds of training"], rows)
    hours = (pretraining + results.seconds(jobs)) / 3600
    return (
        f"{len(results)} runs, {hours:.1f} hours of training and measuring in all, without filling the cache of the "
        f"runs and recording the validation sets. Detector {one['detector']}; "
        f"{settings}; {results.versions()}.\n\n{table}"
    )


SECTIONS: dict[str, Callable[[ResultSet], str]] = {
    "table4": table4_section,
    "table5": table5_section,
    "table6": table6_section,
    "summary": summary_section,
    "figure3": figure3_section,
    "length": length_section,
    "absence": absence_section,
    "objects": objects_section,
    "memory": memory_section,
    "parts": parts_section,
    "absent": absent_section,
    "online": _online(tables.ONLINE, _PAPER_ONLINE),
    "online_table5": _online(tables.ONLINE_TABLE5, _PAPER_ONLINE5),
    "online_table6": _online(tables.ONLINE_TABLE6, _PAPER_ONLINE6),
    "online_figure3": _lengths(tables.ONLINE_ATTEMPT, tables.ONLINE_FIGURE3, tables.ONLINE_SETS, tables.ONLINE_LENGTHS),
    "association_figure3": _lengths(
        tables.ASSOCIATION_CLAIMS_ATTEMPT, tables.CLAIMS_FIGURE3, tuple(ASSOCIATION_SETS), tables.CLAIMS_LENGTHS
    ),
    "online_options": _online(tables.ONLINE_OPTIONS),
    "online_order": _order(tables.ONLINE_ATTEMPT, comparisons.STEPS, tables.ONLINE_SETS),
    "association_order": _order(
        tables.ASSOCIATION_CLAIMS_ATTEMPT, comparisons.ASSOCIATION_STEPS, tuple(ASSOCIATION_SETS)
    ),
    "online_runs": online_runs_section,
    "association": association_section,
    "association_runs": association_runs_section,
    "intervals_association": _intervals("association", tables.ASSOCIATION_ATTEMPT),
    "intervals_association_looks": _intervals("association", tables.ASSOCIATION_LOOKS_ATTEMPT),
    "intervals_association_table5": _intervals("association-table5", tables.ASSOCIATION_CLAIMS_ATTEMPT),
    "intervals_claims_table4": _intervals("claims-table4", tables.ASSOCIATION_CLAIMS_ATTEMPT),
    "intervals_claims_table6": _intervals("claims-table6", tables.ASSOCIATION_CLAIMS_ATTEMPT),
    "intervals_claims_figure3": _intervals("claims-figure3", tables.ASSOCIATION_CLAIMS_ATTEMPT),
    "intervals": _intervals("online"),
    "intervals_table5": _intervals("online-table5"),
    "intervals_table6": _intervals("online-table6"),
    "intervals_figure3": _intervals("online-figure3"),
    "intervals_options": _intervals("online-options"),
    "identity": identity_section,
    "sets": sets_section,
    "attempts": attempts_section,
    "runs": runs_section,
}


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def _side_by_side(results: ResultSet, rows: Mapping[str, Configuration], sets: Sequence[str]) -> str:
    """Return one table of the main scores on several sets."""
    scores = (("AP", "ap"), ("HOTA", "hota"), ("IDF1", "idf1"), ("id switches", "switches"))
    head = ["", *(f"*{name}*, {title}" for name in sets for title, _ in scores)]
    body = [
        [title, *(_text(results.value(one, one.plan(name), score), score) for name in sets for _, score in scores)]
        for title, one in rows.items()
    ]
    return _table(head, body)


def _tables(
    results: ResultSet,
    rows: Mapping[str, Configuration],
    *,
    sets: Sequence[str] = tables.TABLE_SETS,
    paper: Mapping[str, float] | None = None,
) -> str:
    of_results = [(title, results, one) for title, one in rows.items()]
    return "\n\n".join(filter(None, (_set_table(name, of_results, paper=paper) for name in sets))) or _NOTHING


def _set_table(
    name: str,
    rows: Sequence[tuple[str, ResultSet, Configuration]],
    *,
    paper: Mapping[str, float] | None = None,
) -> str:
    """Return the scores of a set, a row for each title, results and configuration; empty if none was measured."""
    body = []
    for title, results, one in rows:
        cells = [_text(results.value(one, one.plan(name), score), score) for _, score in _COLUMNS]
        if any(cells):
            published = [] if paper is None else [f"{paper[one.name]}" if one.name in paper else ""]
            body.append([title, *cells, *published])
    last = [] if paper is None else ["paper, AP on OVIS"]
    return _table([f"set *{name}*", *(column for column, _ in _COLUMNS), *last], body) if body else ""


def _texts(
    results: ResultSet,
    configuration: Configuration,
    plans: Sequence[EvaluationPlan],
    score: Score,
) -> list[str]:
    return [_text(results.value(configuration, plan, score), score) for plan in plans]


_NOTHING = "Not measured."


def _text(value: Value | None, score: Score) -> str:
    """Return a cell: a count of one run is a whole number, everything else has one decimal."""
    if value is None:
        return ""
    return value.text(0 if score == "switches" and len(value.values) == 1 else 1)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, labels: int = 1) -> str:
    """Return a table in Markdown, or that there is nothing to show; the first columns are labels."""
    if not any(cell for row in rows for cell in row[labels:]):
        return _NOTHING
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)
