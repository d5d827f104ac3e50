"""Results become tables and plots, and nothing that was not measured becomes a number."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from experiments.absences import BOUNDS
from experiments.configurations import GENVIS, GENVIS_1, UVLA, Configuration
from experiments.evaluation import EvaluationPlan, Scores
from experiments.identity import Shares
from experiments.intervals import Interval
from experiments.report import FRAME, SECTIONS, write_report
from experiments.results import ResultSet, Value
from experiments.tables import Job
from experiments.validation_sets import ASSOCIATION_SETS, SETS, validation_set
from PIL import Image

from experiments import comparisons, tables
from genvis.errors import InputError


def scores(ap: float, set_name: str = "normal", **changes: Any) -> dict[str, Any]:
    absences = [{"from": start, "kept": 3, "changed": 1, "lost": 0} for start in BOUNDS]
    absences[-1] = {"from": BOUNDS[-1], "kept": 0, "changed": 0, "lost": 0}
    values = {
        **dict.fromkeys(("ap", "ap50", "ar10", "object_ap", "hota", "assa", "deta", "idf1"), ap),
        "switches": 7,
        "frames": 100,
        "objects": 5,
        "masks": 350,
        "seconds": 2.0,
        "absences": absences,
        **changes,
    }
    return {"set": validation_set(set_name).digest, **asdict(Scores(**values))}


def write_result(folder: Path, job: Job, seed: int, ap: float, **changes: Any) -> None:
    trained = job.configuration.is_trained
    document = {
        "format": "genvis-experiment-1",
        "configuration": job.configuration.description(),
        "seed": seed,
        "settings": {"steps": 10} if trained else {},
        "detector": "abc",
        **({"training": {"steps": 10, "seconds": 60.0, "parameters": 9, "threads": 1}} if trained else {}),
        "versions": {"torch": "2"},
        "evaluations": {plan.key: scores(ap, plan.set_name) for plan in job.plans},
        **changes,
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{job.configuration.name}-seed{seed}.json").write_text(json.dumps(document))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for place, job in enumerate(tables.all_jobs()):
        for one, seed in job.runs([0, 1, 2]):
            write_result(folder, one, seed, 10.0 * place + seed)
    speeds = {str(length): 50.0 + length for length in tables.FIGURE3_LENGTHS}
    timing = {"detector": "abc", "frames_per_second": {GENVIS_1.name: speeds, GENVIS.name: speeds}}
    (folder / "timing.json").write_text(json.dumps(timing))
    online = folder.with_name(f"{folder.name}-{tables.ONLINE_ATTEMPT}")
    measured: dict[Configuration, dict[EvaluationPlan, None]] = {}
    rest = (*tables.online_table6(), *tables.online_figure3(), *tables.online_options())
    for job in (*tables.online(), *tables.online_table5(), *rest):
        measured.setdefault(job.configuration, {}).update(dict.fromkeys(job.plans))
    for place, (configuration, plans) in enumerate(measured.items()):
        write_result(online, Job(configuration, tuple(plans)), 0, 5.0 * place)
    sure, unsure = Interval(2.0, 0.5, 3.5)._asdict(), Interval(-1.0, -2.0, 0.25)._asdict()
    differences = {"ap": sure, "hota": unsure, "assa": sure, "idf1": sure}
    pair = {"first": "matching", "second": "memory", "seeds": [1, 3], "scores": differences}
    compared = {table: {"occluded": [pair]} for table in comparisons.PAIRS}
    compared["online-table5"] = {"occluded": [pair, {**pair, "first": "global", "second": "index-wise"}]}
    (online / "intervals.json").write_text(json.dumps(compared))
    association = folder.with_name(f"{folder.name}-{tables.ASSOCIATION_ATTEMPT}")
    for place, job in enumerate(tables.association()):
        write_result(association, job, 0, 5.0 * place)
    (association / "intervals.json").write_text(json.dumps({"association": {"association-occluded": [pair]}}))
    for attempt, rows in tables.ASSOCIATION_OTHERS.items():
        other = folder.with_name(f"{folder.name}-{attempt}")
        for configuration in rows.values():
            lengths = tables.CLAIMS_LENGTHS if configuration in tables.CLAIMS_FIGURE3.values() else (0,)
            plans = tuple(configuration.plan(name, clip_length=one) for name in ASSOCIATION_SETS for one in lengths)
            write_result(other, Job(configuration, plans), 0, 7.0)
        step = comparisons.ASSOCIATION_STEPS[0]
        both = [pair, {**pair, "first": step.first, "second": step.second}]
        known = {table: {"association-occluded": both} for table in comparisons.ASSOCIATION_PAIRS}
        (other / "intervals.json").write_text(json.dumps(known))
    shares = Shares(pairs=40, chance=0.5, query=0.75, place=1.0, both=0.875)._asdict()
    (online / "identity.json").write_text(json.dumps({"occluded": {"15": shares}}))
    return folder


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the text alone: drawing takes nearly all of the time."""
    monkeypatch.setattr("experiments.report.draw_plots", lambda *_: [])


def page_with(folder: Path, *names: str) -> Path:
    page = folder / "docs" / "page.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(
        "# Title\n" + "".join(f"before\n<!-- {name} -->\nold\n<!-- end {name} -->\nafter\n" for name in names)
    )
    return page


def test_the_page_is_filled_in_and_plots_are_drawn(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_with(tmp_path, *SECTIONS)
    write_report(results, page)
    text = page.read_text()
    assert text.count("before") == text.count("after") == len(SECTIONS)
    assert "old" not in text
    assert "Not measured" not in text
    # The eighth job, with seeds 0, 1 and 2.
    row = next(line for line in text.splitlines() if line.startswith("| 5 clips, UVLA, prototype memory |"))
    assert row.startswith("| 5 clips, UVLA, prototype memory | 71.0 ± 1.0 | 71.0 ± 1.0 |")
    assert row.endswith("| 7.0 ± 0.0 | 33.4 |")
    assert "| MinVIS, frame by frame | 10.0 | 10.0 |" in text
    assert "| GenVIS | 75 ± 0 % of 4 | 75 ± 0 % of 4 |" in text
    assert "|  | id switches per 100 masks | 2.0 ± 0.0 |" in text
    assert "| trained with N_f = 1 | frames/s | 51 | 52 |" in text
    assert "| memory matching | 5.0 | 5.0 |" in text
    row = "| *occluded* | memory - matching | 3 and 1 | **+2.0 (+0.5 to +3.5)** | -1.0 (-2.0 to +0.2) |"
    assert text.count(row) == len(comparisons.PAIRS)
    row = "| index-wise reading instead of global | +1.6 |  | **+2.0 (+0.5 to +3.5)** |  |"
    assert text.count(row) == 1
    row = "| five frames instead of two | +2.4 |  | **+2.0 (+0.5 to +3.5)** |  |"
    assert text.count(row) == 1
    assert "| 5 clips of 3 | *association-normal* | 7.0 / 7.0 | 7.0 / 7.0 | 7.0 / 7.0 |" in text
    assert "| global | 40.0 | 40.0 |" in text
    assert "| N_f = 7 | 55.0 | 55.0 |" in text
    assert "| 15 clips of 1 | *normal* | 60.0 / 60.0 | 60.0 / 60.0 |" in text
    assert "| with gated propagation | 75.0 | 75.0 |" in text
    assert "| *occluded* | 15 | 50 % | 75 % | 100 % | 88 % |" in text
    names = sorted(path.name for path in (page.parent / "images").iterdir())
    assert names == [
        f"reproduction_{name}.png"
        for name in ("figure3", "limits_absence", "limits_length", "limits_objects", "online_figure3", "table4")
    ]
    for name in names:
        with Image.open(page.parent / "images" / name) as picture:
            assert picture.width >= 800
    again = page.read_text()
    monkeypatch.setattr("experiments.report.draw_plots", lambda *_: [])
    write_report(results, page)
    assert page.read_text() == again


def test_the_steps_of_the_paper_are_pairs_that_intervals_compare() -> None:
    compared = {
        (table, first.title, second.title) for table, pairs in comparisons.PAIRS.items() for first, second in pairs
    }
    assert {(one.table, one.first, one.second) for one in comparisons.STEPS} <= compared


def test_what_was_not_measured_is_no_number(tmp_path: Path) -> None:
    job = Job(UVLA, (UVLA.plan("normal"),))
    write_result(tmp_path / "few", job, 0, 12.0)
    page = page_with(tmp_path, "table4", "table6", "figure3", "length", "absence", "objects")
    write_report(tmp_path / "few", page)
    text = page.read_text()
    assert text.count("Not measured.") == 5
    assert "| 5 clips, UVLA | 12.0 | 12.0 |" in text
    assert "occluded" not in text
    assert [path.name for path in (page.parent / "images").iterdir()] == ["reproduction_table4.png"]


@pytest.mark.usefixtures("without_plots")
def test_earlier_attempts_are_reported_with_what_they_differ_in(results: Path, tmp_path: Path) -> None:
    job = Job(UVLA, (UVLA.plan("occluded"),))
    write_result(tmp_path / "results-lower-rate", job, 0, 17.25, settings={"steps": 10, "learning_rate": 0.1})
    page = page_with(tmp_path, "attempts")
    write_report(results, page)
    text = page.read_text()
    assert "*Lower rate* (learning rate 0.1; 1 seed):" in text
    assert "|  | *occluded*, AP | *occluded*, id switches |" in text
    assert "| 5 clips, UVLA | 17.2 | 7 |" in text


@pytest.mark.usefixtures("without_plots")
def test_the_time_of_the_pretraining_is_reported_once(results: Path, tmp_path: Path) -> None:
    page = page_with(tmp_path, "runs")
    write_report(results, page)
    before = re.search(r"([\d.]+) hours", page.read_text())
    for path in results.glob("*-seed*.json"):
        document = json.loads(path.read_text())
        if "training" in document:
            document["training"]["pretraining_seconds"] = 7200.0
            path.write_text(json.dumps(document))
    write_report(results, page)
    after = re.search(r"([\d.]+) hours", page.read_text())
    assert before
    assert after
    assert float(after[1]) == pytest.approx(float(before[1]) + 2.0, abs=0.11)
    assert page.read_text().count("7200") == 1


def test_measurements_of_videos_that_have_changed_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_result(tmp_path / "old", Job(UVLA, (UVLA.plan("normal"), UVLA.plan("occluded"))), 0, 12.0)
    monkeypatch.setitem(SETS, "normal", replace(SETS["normal"], videos=3))
    results = ResultSet(tmp_path / "old")
    assert results.value(UVLA, UVLA.plan("normal"), "ap") is None
    assert results.value(UVLA, UVLA.plan("occluded"), "ap") is not None


def test_speeds_of_another_detector_are_refused(results: Path, tmp_path: Path) -> None:
    timing = json.loads((results / "timing.json").read_text())
    (results / "timing.json").write_text(json.dumps({**timing, "detector": "other"}))
    with pytest.raises(InputError, match="another detector"):
        write_report(results, page_with(tmp_path, "figure3"))


def test_runs_that_cannot_be_compared_are_refused(results: Path, tmp_path: Path) -> None:
    job = Job(GENVIS, (GENVIS.plan("normal"),))
    write_result(results, job, 5, 1.0, settings={"steps": 20})
    with pytest.raises(InputError, match="more than one kind of settings"):
        write_report(results, page_with(tmp_path, "table4"))


def test_a_new_page_begins_with_the_frame_which_has_every_part(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.md"
    write_report(results, page)
    text = page.read_text()
    assert re.findall(r"<!-- end (\S+) -->", text) == re.findall(r"<!-- (\w+) -->\n", text)
    assert sorted(re.findall(r"<!-- end (\S+) -->", text)) == sorted(SECTIONS)
    pictures = set(re.findall(r"\]\(images/(\S+)\)", text))
    assert pictures - {"reproduction_figure4.png"} == {path.name for path in (page.parent / "images").iterdir()}


@pytest.mark.parametrize(("begin", "end"), [("## How it was", "<!-- sets -->"), ("## Table 4", "<!-- table4 -->")])
def test_a_new_page_explains_the_experiments_as_the_published_one_does(begin: str, end: str) -> None:
    published = Path(__file__).parents[2] / "docs" / "reproduction_tables.md"
    pages = [page.read_text().partition(begin)[2].partition(end)[0] for page in (FRAME, published)]
    assert pages[0] == pages[1] != ""


def test_unknown_parts_and_missing_results_are_errors(results: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a part 'table9'"):
        write_report(results, page_with(tmp_path, "table9"))
    with pytest.raises(InputError, match="no results"):
        write_report(tmp_path / "empty", page_with(tmp_path, "table4"))


def test_values_of_seeds() -> None:
    assert Value((1.0, 2.0, 3.0)).text() == "2.0 ± 1.0"
    assert Value((4.25,)).text(2) == "4.25"


def test_another_configuration_of_the_same_name_is_not_taken(results: Path) -> None:
    other = Configuration("genvis", memory="index", videos=9)
    assert ResultSet(results).value(other, other.plan("normal"), "ap") is None
