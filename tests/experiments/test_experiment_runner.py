"""Runs: finished ones are skipped, interrupted ones go on, results are complete and never mixed."""

import json
import shutil
import time
from dataclasses import fields, replace
from importlib.metadata import version
from multiprocessing import active_children
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from experiments.comparisons import Measured
from experiments.configurations import (
    BUNDLED,
    BUNDLED_OCCUPANCY,
    GENVIS,
    MATCHING,
    MEMORY,
    MINVIS,
    VITA,
    Configuration,
    memory_with,
    with_presence,
)
from experiments.evaluation import Scores
from experiments.intervals import measure_intervals
from experiments.runner import Workspace, missing_plans, run, run_jobs
from experiments.tables import Job
from experiments.training import ATTEMPTS, Settings
from filelock import FileLock

import genvis
from experiments import runner, tables, validation_sets
from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.inference.windows.clip_windows import AdaptiveWindows
from genvis.model.genvis import GenVIS
from genvis.training.recipe.recipe import Recipe
from genvis.training.stages.genvis_stage import GenVISStage

pytestmark = pytest.mark.filterwarnings("ignore")


def job(configuration: Configuration, *sets: str) -> Job:
    return Job(configuration, tuple(configuration.plan(name) for name in sets or ("normal",)))


def result_of(workspace: Workspace, configuration: Configuration, seed: int = 0) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(workspace.result_file(configuration, seed).read_text())
    return content


def test_methods_without_training_are_measured_on_the_same_recordings(workspace: Workspace) -> None:
    surest = memory_with("surest", birth_score=1.0)
    rows = [BUNDLED, BUNDLED_OCCUPANCY, with_presence(BUNDLED, 1.0), MEMORY, surest]
    run_jobs(workspace, [job(one) for one in rows], seeds=[0], workers=1)
    documents = {one.name: result_of(workspace, one) for one in rows}
    assert not any("training" in document for document in documents.values())
    assert documents["memory"]["configuration"]["matching"]["birth_score"] == 0.25
    assert documents["memory-surest"]["configuration"]["matching"]["birth_score"] == 1.0
    assert documents["bundled-occupancy"]["configuration"]["occupancy"] is True
    # Nobody is certain to be visible, and no detection is certain enough to begin a track.
    for name in ("bundled-presence-1", "memory-surest"):
        (scores,) = documents[name]["evaluations"].values()
        assert (scores["ap"], scores["hota"], scores["switches"]) == (0, 0, 0)


def test_what_came_later_does_not_change_the_description_of_older_results() -> None:
    for one in (GENVIS, MINVIS, MATCHING, VITA):
        assert not {"matching", "presence", "occupancy"} & set(one.description())


def test_a_result_says_everything_that_it_depends_on(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    run_jobs(workspace, [job(GENVIS), job(MINVIS)], seeds=[0, 1], workers=1)
    names = sorted(path.name for path in workspace.results.iterdir())
    assert names == ["genvis-seed0.json", "genvis-seed1.json", "minvis-seed0.json"]
    result = result_of(workspace, GENVIS)
    assert list(result) == [
        *("format", "configuration", "seed", "settings", "detector", "versions", "training", "evaluations")
    ]
    assert result["format"] == "genvis-experiment-1"
    assert result["configuration"]["memory"] == "index"
    assert result["settings"]["steps"] == 3
    assert result["training"]["steps"] == 3
    assert result["training"]["seconds"] > 0
    assert result["training"]["parameters"] > 1000
    assert result["versions"]["torch"] == version("torch")
    # The installed package may be an older one.
    assert result["versions"]["genvis"] == genvis.__version__
    (scores,) = result["evaluations"].values()
    assert set(scores) == {"set", *(field.name for field in fields(Scores))}
    assert (scores["frames"], len(scores["absences"])) == (14, 6)
    assert 0 <= scores["ap"] <= 100
    assert scores["objects"] >= 4
    untrained = result_of(workspace, MINVIS)
    assert "training" not in untrained
    assert untrained["settings"] == {}
    assert "3 runs, 3 of them to do" in capsys.readouterr().out


def test_all_runs_start_from_one_pretraining(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = replace(workspace, settings=replace(workspace.settings, pretraining_steps=2, pretraining_views=4))
    run_jobs(workspace, [job(GENVIS), job(VITA)], seeds=[0], workers=1)
    assert "pretraining: 2 steps on single clips" in capsys.readouterr().out
    assert result_of(workspace, GENVIS)["training"]["pretraining_seconds"] > 0
    start = load_genvis(workspace.pretrained_folder / "model").state_dict()
    rates = (workspace.settings.learning_rate, workspace.settings.steps)
    for configuration in (GENVIS, VITA):
        found = workspace.model_of(configuration, 0)[0].state_dict()
        assert {name for name in found if "memory_reader" not in name} == start.keys()
        # AdamW moves no weight by more than about the learning rate in a step.
        furthest = max((found[name] - start[name]).abs().max().item() for name in start)
        assert 0 < furthest < 2 * rates[0] * rates[1]


def test_without_pretraining_runs_start_from_new_weights(workspace: Workspace) -> None:
    run_jobs(workspace, [job(GENVIS)], seeds=[0], workers=1)
    assert not workspace.pretrained_folder.exists()
    assert result_of(workspace, GENVIS)["training"]["pretraining_seconds"] == 0


def test_finished_runs_are_skipped_and_new_measurements_need_no_training(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_jobs(workspace, [job(GENVIS)], seeds=[0], workers=1)
    before = result_of(workspace, GENVIS)
    monkeypatch.setattr("experiments.training.train", lambda _: pytest.fail("trained again"))
    run_jobs(workspace, [job(GENVIS, "normal", "occluded")], seeds=[0], workers=1)
    after = result_of(workspace, GENVIS)
    assert list(after["evaluations"]) == ["normal clips of 3", "occluded clips of 3"]
    assert after["evaluations"]["normal clips of 3"] == before["evaluations"]["normal clips of 3"]
    monkeypatch.setattr(runner, "evaluate_tracker", lambda *_, **__: pytest.fail("measured again"))
    capsys.readouterr()
    run_jobs(workspace, [job(GENVIS, "normal", "occluded")], seeds=[0], workers=1)
    assert capsys.readouterr().out == "1 runs, 0 of them to do\n"
    assert run(workspace, job(GENVIS), 0) == "genvis, seed 0: finished before"


def test_a_changed_set_is_measured_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run(workspace, job(MINVIS), 0)
    assert missing_plans(workspace, job(MINVIS), 0) == []
    changed = replace(validation_sets.SETS["normal"], videos=1)
    monkeypatch.setitem(validation_sets.SETS, "normal", changed)
    assert missing_plans(workspace, job(MINVIS), 0) == [MINVIS.plan("normal")]
    with pytest.raises(InputError, match="of other videos"):
        run(workspace, job(MINVIS), 0)


def test_a_killed_run_ends_as_if_it_had_not_been(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    often = replace(workspace, output=workspace.output.with_name("killed"))
    monkeypatch.setattr(Workspace, "recipe", with_checkpoints(Workspace.recipe))
    step = GenVISStage.training_step

    def dying(self: GenVISStage, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 2:
            raise RuntimeError("killed")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as context:
        context.setattr(GenVISStage, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            run(often, job(MATCHING), 0)
    assert not often.result_file(MATCHING, 0).exists()
    steps: list[int] = []

    def counted(self: GenVISStage, batch: Any, batch_idx: int) -> torch.Tensor:
        steps.append(batch_idx)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as context:
        context.setattr(GenVISStage, "training_step", counted)
        resumed, _ = often.model_of(MATCHING, 0)
    assert len(steps) == 1
    whole, _ = workspace.model_of(MATCHING, 0)
    assert_same_weights(resumed, whole)
    assert not (often.run_folder(MATCHING, 0) / "checkpoints").exists()


def test_workers_end_with_the_process_that_was_interrupted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int | None] = []

    def interrupted(_: Any) -> Any:
        begun.extend(worker.pid for worker in active_children())
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.runner.as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_jobs(workspace, [job(GENVIS), job(VITA)], seeds=[5], workers=2)
    assert len(begun) == 2
    deadline = time.monotonic() + 60
    while active_children() and time.monotonic() < deadline:  # The pool's own thread takes note of them, too.
        time.sleep(0.05)
    assert not active_children()
    assert not workspace.result_file(GENVIS, 5).exists()
    assert not workspace.result_file(VITA, 5).exists()


def with_checkpoints(recipe: Any) -> Any:
    def changed(self: Workspace, configuration: Configuration, seed: int) -> Recipe:
        result: Recipe = recipe(self, configuration, seed)
        result.run.checkpoint_steps = 1
        return result

    return changed


def assert_same_weights(ours: GenVIS, theirs: GenVIS) -> None:
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_seeds_share_the_detector_and_nothing_else(workspace: Workspace) -> None:
    first, second = (workspace.model_of(VITA, seed)[0] for seed in (0, 1))
    detector = workspace.load_detector()
    for name, tensor in detector.detector.state_dict().items():
        assert torch.equal(tensor, first.detector.state_dict()[name]), name
        assert torch.equal(tensor, second.detector.state_dict()[name]), name
    assert not torch.equal(first.tracker.query_features.weight, second.tracker.query_features.weight)


def test_results_of_other_settings_or_detectors_are_never_mixed(
    workspace: Workspace, tmp_path: Path, detector_folder: Path
) -> None:
    run(workspace, job(GENVIS), 0)
    longer = replace(workspace, settings=replace(workspace.settings, steps=4))
    with pytest.raises(InputError, match="another settings"):
        run(longer, job(GENVIS), 0)
    with pytest.raises(InputError, match="run of another recipe"):
        run(replace(longer, results=tmp_path / "longer"), job(GENVIS), 0)
    torch.manual_seed(1)
    GenVIS(load_genvis(detector_folder).config).save_pretrained(tmp_path / "other")
    other = replace(workspace, detector=str(tmp_path / "other"))
    with pytest.raises(InputError, match="choose another --output"):
        run(other, job(GENVIS), 0)
    with pytest.raises(InputError, match="another detector"):
        run(replace(other, output=tmp_path / "elsewhere"), job(GENVIS), 0)


def test_a_run_that_started_from_other_weights_is_refused(workspace: Workspace) -> None:
    pretrained = replace(workspace.settings, pretraining_steps=1, pretraining_views=4)
    workspace = replace(workspace, settings=pretrained)
    run(workspace, job(GENVIS), 0)
    with pytest.raises(InputError, match="another recipe"):
        replace(workspace, settings=replace(pretrained, pretraining_steps=2)).pretrain()
    shutil.rmtree(workspace.pretrained_folder)
    again = replace(
        workspace, settings=replace(pretrained, pretraining_steps=2), results=workspace.results.with_name("again")
    )
    again.pretrain()
    with pytest.raises(InputError, match="started from other weights"):
        run(again, job(GENVIS), 0)


def test_a_run_from_before_an_option_is_the_same_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.model_of(GENVIS, 0)
    path = workspace.run_folder(GENVIS, 0) / "recipe.yaml"
    before = path.read_text()
    for later in ("  clip_lengths: []\n", "    propagation: full\n"):
        assert later in before
        path.write_text(path.read_text().replace(later, ""))
    monkeypatch.setattr("experiments.training.train", lambda _: pytest.fail("trained again"))
    workspace.model_of(GENVIS, 0)
    path.write_text(before.replace("  clip_lengths: []\n", "  clip_lengths: [1, 3]\n"))
    with pytest.raises(InputError, match="another recipe"):
        workspace.model_of(GENVIS, 0)


def test_clips_that_adapt_see_the_frames_of_the_videos(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def starts_scene(_: AdaptiveWindows, image: np.ndarray) -> bool:
        seen.append(image)
        return False

    monkeypatch.setattr(AdaptiveWindows, "starts_scene", starts_scene)
    run(workspace, Job(BUNDLED, tuple(BUNDLED.plan("normal", clip_length=length) for length in (7, "auto"))), 0)
    found = result_of(workspace, BUNDLED)["evaluations"]
    assert list(found) == ["normal clips of 7", "normal clips of auto"]
    # A scene of seven frames is one clip.
    assert len({json.dumps({**scores, "seconds": 0}) for scores in found.values()}) == 1
    samples = validation_sets.validation_set("normal").load()
    frames = np.concatenate([samples[video].frames.permute(0, 2, 3, 1).numpy() for video in range(2)])
    assert {image.tobytes() for image in seen} == {image.tobytes() for image in frames}


def test_rows_that_were_measured_are_compared_and_others_left_out(workspace: Workspace) -> None:
    fixed, auto = (Measured(str(length), BUNDLED, length) for length in (7, "auto"))
    pairs = {"lengths": [(fixed, auto), (auto, Measured("trained", GENVIS))], "nothing": [(fixed, fixed)][:0]}
    with pytest.raises(InputError, match="measure the tables first"):
        measure_intervals(workspace, pairs, ["normal"], seeds=[0])
    run(workspace, Job(BUNDLED, tuple(one.plan("normal") for one in (fixed, auto))), 0)
    # Tables whose runs are in another output folder stay as they are.
    (workspace.results_folder / "intervals.json").write_text('{"elsewhere": {}, "lengths": {}}')
    said = measure_intervals(workspace, pairs, ["normal", "occluded"], seeds=[0, 1])
    assert said.startswith("normal: auto - 7: ap +0.0 (+0.0 to +0.0)")
    document = json.loads((workspace.results_folder / "intervals.json").read_text())
    assert list(document) == ["elsewhere", "lengths"]
    (pair,) = document["lengths"]["normal"]
    assert (pair["first"], pair["second"], pair["seeds"]) == ("7", "auto", [1, 1])


def test_an_attempt_has_its_settings_and_options_change_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.__main__ import main

    seen: list[Workspace] = []
    monkeypatch.setattr(runner, "run_jobs", lambda workspace, *_, **__: seen.append(workspace))
    for words in ([], ["--attempt", "online"], ["--attempt", "online", "--steps", "5"], ["--attempt", "other"]):
        assert main(["online", "--output", str(tmp_path), *words]) == 0
    online = ATTEMPTS["online"]
    assert (online.steps, online.heads, online.memory, online.disappearance) == (2000, "detector", "silent", 0.3)
    assert [one.settings for one in seen] == [Settings(), online, replace(online, steps=5), Settings()]


def test_an_attempt_shares_all_but_its_runs_and_results(workspace: Workspace) -> None:
    workspace = replace(workspace, settings=replace(workspace.settings, pretraining_steps=1, pretraining_views=4))
    run(workspace, job(GENVIS), 0)
    settings = replace(workspace.settings, steps=2, gap=2.0, mixture="occluded")
    attempt = replace(workspace, settings=settings, attempt="other-gap")
    run(attempt, job(GENVIS), 0)
    assert result_of(attempt, GENVIS)["settings"]["gap"] == 2.0
    assert result_of(workspace, GENVIS)["settings"]["gap"] == 2.2
    assert attempt.result_file(GENVIS, 0).parent == workspace.results.with_name("results-other-gap")
    made = {path.name for path in workspace.output.iterdir() if path.suffix != ".lock"}
    shared = {"detector", "cache", "cache-occluded", "pretraining-cache", "recordings"}
    assert made == {*shared, "runs", "runs-other-gap", "tracked", "tracked-other-gap"}
    assert [path.name for path in (workspace.output / "runs-other-gap").iterdir()] == ["genvis-seed0"]
    with pytest.raises(InputError, match="no name of an attempt"):
        replace(workspace, attempt="../elsewhere")


def test_a_run_is_trained_by_one_process_at_a_time(workspace: Workspace) -> None:
    folder = workspace.run_folder(GENVIS, 0)
    folder.mkdir(parents=True)
    trained = Thread(target=lambda: workspace.model_of(GENVIS, 0))
    with FileLock(folder / "lock"):
        trained.start()
        trained.join(2.0)
        assert trained.is_alive()
        assert not (folder / "recipe.yaml").exists()
    trained.join(60.0)
    assert (folder / "trained.json").exists()


def test_two_commands_add_to_one_result(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    model_of = Workspace.model_of

    def another_command_first(self: Workspace, configuration: Configuration, seed: int) -> object:
        monkeypatch.setattr(Workspace, "model_of", model_of)
        run(self, job(configuration, "normal"), seed)
        return model_of(self, configuration, seed)

    monkeypatch.setattr(Workspace, "model_of", another_command_first)
    run(workspace, job(GENVIS, "occluded"), 0)
    assert set(result_of(workspace, GENVIS)["evaluations"]) == {"normal clips of 3", "occluded clips of 3"}


def test_seeds_are_taken_once_and_what_is_not_trained_has_one() -> None:
    assert [seed for _, seed in job(GENVIS).runs([3, 1, 3])] == [3, 1]
    assert [seed for _, seed in job(MINVIS).runs([3, 1])] == [0]


@pytest.mark.slow
def test_two_workers_give_what_one_gives_and_stop_at_the_first_error(
    workspace: Workspace, detector_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers are new processes, which know nothing of the sets' replacements: theirs are the real ones.
    monkeypatch.undo()
    with pytest.raises(InputError, match="have 96 and 160"):
        workspace.recording(validation_sets.validation_set("crowd-3"))
    model = load_genvis(detector_folder)
    model.config.min_size_test, model.config.max_size_test = 96, 160
    model.save_pretrained(tmp_path / "larger")
    workspace = replace(workspace, detector=str(tmp_path / "larger"), output=tmp_path / "side-by-side")
    run_jobs(workspace, [job(GENVIS, "crowd-3"), job(MATCHING, "crowd-3")], seeds=[0], workers=2)
    alone = replace(workspace, output=tmp_path / "alone", results=tmp_path / "alone-results")
    run_jobs(alone, [job(GENVIS, "crowd-3")], seeds=[0], workers=1)
    (one,), (other,) = (result_of(place, GENVIS)["evaluations"].values() for place in (workspace, alone))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    recipe = workspace.run_folder(VITA, 0) / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("stage: genvis\n")
    with pytest.raises(InputError, match="delete it, or choose another"):
        run_jobs(workspace, [job(VITA, "crowd-3")], seeds=[0, 1, 2, 3], workers=2)
    assert not workspace.result_file(VITA, 3).exists()


def test_wrong_input_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from experiments.__main__ import main

    words = ["table5", "--detector", str(tmp_path / "nothing"), "--output", str(tmp_path / "o")]
    assert main([*words, "--results", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("experiments: error: ")
    assert error.count("\n") == 1
    assert main(["report", "--results", str(tmp_path)]) == 2
    assert "no results" in capsys.readouterr().err
    assert main(["table4", "--rows", "nobody", "--output", str(tmp_path / "o")]) == 2
    assert "table4 has no row 'nobody'" in capsys.readouterr().err
    assert main(["table4", "--attempt", "../x", "--output", str(tmp_path / "o")]) == 2
    assert "'../x' is no name of an attempt" in capsys.readouterr().err


def test_the_command_line_offers_every_table_there_is() -> None:
    from experiments.__main__ import TABLES

    assert set(TABLES) == set(tables.COMMANDS)
