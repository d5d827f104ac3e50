"""The rows of the tables are exactly the configurations that they claim to be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.__main__ import main
from experiments.configurations import (
    CORRESPONDENCE_2,
    CORRESPONDENCE_5,
    GENVIS,
    GLOBAL_MEMORY,
    MATCHING,
    MINVIS,
    ONLINE_GENVIS,
    ONLINE_LONG,
    ONLINE_MIXED,
    ONLINE_UVLA,
    UVLA,
    VITA,
    Configuration,
    resolved,
)
from experiments.runner import Workspace
from experiments.tables import ONLINE
from experiments.training import Settings, recipe_of

from experiments import tables
from genvis.data.sampling.clip_sampling import ClipSampling
from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.training.cache.cached_stream import _drawn_frames
from genvis.training.cache.detected_videos import DetectedVideos
from genvis.training.criterion.hungarian_matching import UNASSIGNED
from genvis.training.criterion.targets import join_targets
from genvis.training.criterion.tracker_criterion import TrackerCriterion
from genvis.training.run.run import build_data, build_module
from genvis.training.stages import genvis_stage

pytestmark = pytest.mark.filterwarnings("ignore")

# N_v, N_f, assignment, memory, propagation
TABLE4 = [
    (MATCHING, (1, 3, "uvla", "none", False)),
    (CORRESPONDENCE_2, (2, 3, "correspondence", "none", True)),
    (CORRESPONDENCE_5, (5, 3, "correspondence", "none", True)),
    (UVLA, (5, 3, "uvla", "none", True)),
    (GENVIS, (5, 3, "uvla", "index", True)),
]


@pytest.mark.parametrize(("configuration", "expected"), TABLE4)
def test_rows_of_table_4_reach_recipe_and_network(
    workspace: Workspace, configuration: Configuration, expected: tuple[int, int, str, str, bool]
) -> None:
    recipe = workspace.recipe(configuration, 3)
    config = build_module(recipe).model.config
    data, loss = recipe.data, recipe.loss
    found = (data.clips, data.frames_per_clip, loss.assignment, config.memory_read, config.propagate_queries)
    assert found == expected
    assert config.method == "genvis"
    assert config.clip_length == data.frames_per_clip
    assert recipe.run.seed == 3
    assert recipe.stage == "genvis"


def test_options_of_later_methods_reach_recipe_and_network(workspace: Workspace) -> None:
    found = {}
    for one in tables.ONLINE_OPTIONS.values():
        recipe = workspace.recipe(one, 0)
        config = build_module(recipe).model.config
        found[one.name] = (config.propagation, recipe.loss.identity, recipe.loss.query_noise, config.memory_read)
        assert recipe.data.clips * recipe.data.frames_per_clip * recipe.data.batch_size == 40
    assert found == {
        "online-uvla-resolved": ("full", 0, 0, "none"),
        "online-genvis-resolved": ("full", 0, 0, "index"),
        "online-occupancy-resolved": ("occupancy", 0, 0, "none"),
        "online-gated-resolved": ("gated", 0, 0, "none"),
        "online-identity-resolved": ("full", 1, 0, "none"),
        "online-noise-resolved": ("full", 0, 0.3, "none"),
        "online-identity-noise-resolved": ("full", 1, 0.3, "none"),
    }
    assert "propagation" not in ONLINE_UVLA.description()  # Older results keep their descriptions.
    assert tables.ONLINE_OPTIONS["with gated propagation"].description()["propagation"] == "gated"


def test_all_rows_of_table_4_see_the_same_number_of_frames_in_a_step() -> None:
    frames = {one.clips * one.clip_length * one.videos for one in tables.TABLE4.values() if one.is_trained}
    assert frames == {60}


def test_memory_is_none_index_wise_or_global_in_the_network(workspace: Workspace) -> None:
    readers = [
        build_module(workspace.recipe(one, 0)).model.tracker.memory_reader for one in (UVLA, GENVIS, GLOBAL_MEMORY)
    ]
    assert readers[0] is None
    assert readers[1].is_global is False
    assert readers[2].is_global is True
    assert list(tables.TABLE5.values()) == [UVLA, GLOBAL_MEMORY, GENVIS]


def test_vita_takes_all_frames_as_one_clip_in_training_and_at_inference(workspace: Workspace) -> None:
    recipe = workspace.recipe(VITA, 0)
    module = build_module(recipe)
    batch = build_data(recipe, module)
    losses = module.losses(batch.collate_items([batch.stream[0]]))
    assert {name.rsplit("_", 1)[1] for name in losses} == {"clip0"}
    config = module.model.config
    assert (config.method, config.encoder_window_size, config.memory_read) == ("vita", 6, "none")
    assert VideoSegmenter(module.model, tracker=VITA.tracker).tracker.is_causal is False


def test_only_the_first_baseline_matches_clips_at_inference() -> None:
    matched = [one for one in tables.TABLE4.values() if one.tracker == "clip_queries"]
    assert matched == [MATCHING]
    assert not MINVIS.is_trained


def test_table_6_changes_the_clip_length_in_training_and_inference_alike() -> None:
    for length, one in zip((1, 3, 5, 7), tables.TABLE6.values(), strict=True):
        assert (one.clips, one.clip_length, one.memory, one.assignment) == (5, length, "index", "uvla")
        assert one.plan("normal").clip_length == length


def late_object() -> DetectedVideos:
    """Return one video of five clips of three frames, in which the second object comes with the second clip."""
    random = torch.Generator().manual_seed(0)
    masks = torch.zeros(2, 15, 64, 64, dtype=torch.bool)
    masks[0, :, 5:30, 5:30] = True
    masks[1, 3:, 30:60, 20:60] = True
    assignment = np.array([[[0] * 15, [UNASSIGNED] * 3 + [1] * 12]])
    return DetectedVideos(
        torch.randn(1, 1, 15, 8, 32, generator=random),
        torch.randn(1, 15, 32, 16, 16, generator=random),
        assignment,
        join_targets([torch.tensor([3, 4])], [masks], height=64, width=64),
    )


@pytest.mark.parametrize("configuration", [CORRESPONDENCE_5, UVLA])
def test_only_uvla_gives_a_query_to_an_object_that_comes_late(
    workspace: Workspace, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    assigned: list[np.ndarray] = []

    class Watched(TrackerCriterion):
        def __call__(self, *arguments: object) -> object:  # type: ignore[override]
            losses = super().__call__(*arguments)  # type: ignore[arg-type]
            assigned.append(self.assignment.assigned.copy())
            return losses

    monkeypatch.setattr(genvis_stage, "TrackerCriterion", Watched)
    module = build_module(workspace.recipe(configuration, 0))
    module.losses(late_object())
    assert len(assigned) == 5
    first, late = assigned[0][:, 0], [clip[:, 1] for clip in assigned]
    assert (first != UNASSIGNED).all()
    assert all((clip[:, 0] == first).all() for clip in assigned)
    assert (late[0] == UNASSIGNED).all()
    if configuration is UVLA:
        assert (late[1] != UNASSIGNED).all()
        assert all((clip == late[1]).all() for clip in late[1:])
    else:
        assert all((clip == UNASSIGNED).all() for clip in late)


def test_a_table_can_be_had_on_other_sets_and_in_part() -> None:
    jobs = tables.jobs_of("table4", ["easy"], ["uvla", "minvis"])
    assert [job.configuration for job in jobs] == [MINVIS, UVLA]
    assert {plan.set_name for job in jobs for plan in job.plans} == {"easy"}
    with pytest.raises(InputError, match="'uvlo'; choose from ceiling, minvis"):
        tables.jobs_of("table4", rows=["uvlo"])


@pytest.mark.parametrize(("frames", "frame_range"), [(3, 4), (6, 7), (15, 17), (35, 17)])
def test_samples_of_all_lengths_can_have_the_same_gaps(workspace: Workspace, frames: int, frame_range: int) -> None:
    settings = replace(workspace.settings, stretch=35, gap=2.2)
    assert settings.frame_range(frames) == frame_range
    assert replace(settings, gap=0.0).frame_range(frames) == 17
    sampling = ClipSampling(1, frames, frame_range)
    drawn = [_drawn_frames(35, sampling, np.random.default_rng(seed)) for seed in range(300)]
    assert {len(set(one)) for one in drawn} == {frames}
    even = [_drawn_frames(35, replace(sampling, is_even=True), np.random.default_rng(seed)) for seed in range(300)]
    assert {(len(set(one)), len(set(np.diff(one).tolist()))) for one in even} == {(frames, 1)}
    assert np.mean([np.diff(one).mean() for one in drawn]) == pytest.approx(min(2.3, 36 / (frames + 1)), abs=0.4)


def test_the_gap_reaches_the_recipe_of_short_samples(workspace: Workspace) -> None:
    workspace = replace(workspace, settings=replace(workspace.settings, stretch=35))
    assert workspace.recipe(MATCHING, 0).data.frame_range == 4
    assert workspace.recipe(UVLA, 0).data.frame_range == 17
    wide = replace(workspace, settings=replace(workspace.settings, gap=0.0))
    assert wide.recipe(MATCHING, 0).data.frame_range == 17


def test_all_jobs_hold_every_table_once() -> None:
    jobs = {job.configuration: set(job.plans) for job in tables.all_jobs()}
    parts = (tables.table4(), tables.table5(), tables.table6(), tables.figure3(), tables.limits(), tables.memory())
    for job in (job for part in parts for job in part):
        assert set(job.plans) <= jobs[job.configuration]
    assert len(jobs) == 25
    assert sum(one.is_trained for one in jobs) == 10


def test_settings_that_came_later_reach_the_recipe_where_they_apply(tmp_path: Path) -> None:
    settings = Settings(heads="detector", memory="silent", disappearance=0.3)
    recipes = [
        recipe_of(one, seed=0, settings=settings, init=tmp_path, cache=tmp_path, output=tmp_path, threads=1)
        for one in (ONLINE_GENVIS, ONLINE_UVLA, VITA)
    ]
    assert [one.model.heads for one in recipes] == ["detector"] * 3
    assert [one.model.memory for one in recipes] == ["silent", "init", "init"]
    assert [one.loss.disappearance for one in recipes] == [0.3, 0.3, 0.0]


def test_mixed_clip_lengths_reach_the_recipe_and_divide_the_same_frames(workspace: Workspace) -> None:
    mixed, single = workspace.recipe(ONLINE_MIXED, 0), workspace.recipe(ONLINE_LONG, 0)
    assert mixed.loss.clip_lengths == [1, 3, 5, 7]
    assert single.loss.clip_lengths == []
    assert mixed.data == single.data
    assert mixed.data.clips * mixed.data.frames_per_clip == 15
    assert ONLINE_MIXED.description()["mixed_lengths"] == [1, 3, 5, 7]
    assert "mixed_lengths" not in ONLINE_LONG.description()


def test_tables_5_and_6_frame_by_frame_change_one_thing_each() -> None:
    assert [one.memory for one in tables.ONLINE_TABLE5.values()] == ["none", "global", "index"]
    assert [one.clip_length for one in tables.ONLINE_TABLE6.values()] == [1, 3, 5, 7]
    for table in (tables.ONLINE_TABLE5, tables.ONLINE_TABLE6):
        assert {(one.clips, one.assignment, one.overlaps) for one in table.values()} == {(5, "uvla", "resolve")}


def test_trainings_of_all_clip_lengths_see_about_as_many_frames_in_a_step() -> None:
    rows = (*tables.ONLINE_TABLE6.values(), *tables.ONLINE_FIGURE3.values())
    assert {one.clips * one.clip_length * one.videos for one in rows if one.is_trained} == {40, 45, 50, 35}


def test_resolved_results_are_another_configuration() -> None:
    one = resolved(UVLA)
    assert (one.name, one.overlaps, one.presence) == ("uvla-resolved", "resolve", 0.3)
    assert one.description() == UVLA.description() | {"name": one.name, "overlaps": "resolve", "presence": 0.3}
    assert "overlaps" not in UVLA.description()


def test_the_rows_frame_by_frame_see_the_same_number_of_frames_in_a_step() -> None:
    trained = [one for one in ONLINE.values() if one.is_trained]
    assert len(trained) == 5
    assert {one.clips * one.clip_length * one.videos for one in trained} == {40}


@pytest.mark.parametrize(("attempt", "folder"), [("online", "experiments"), ("association-looks", "association")])
def test_attempts_with_another_detector_have_another_folder(
    attempt: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Workspace] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.runner.run_jobs", lambda workspace, *_, **__: made.append(workspace))
    assert main(["online", "--attempt", attempt]) == 0
    (workspace,) = made
    assert workspace.output == Path("runs") / folder
    assert Path(workspace.detector).is_dir()
