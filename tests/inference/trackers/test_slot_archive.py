"""Track numbers and slots: never collide, never leak, bounded, revived; saved in the middle is uninterrupted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from genvis.errors import InputError
from genvis.inference.scoring import GREATEST_PROBABILITY, MEAN_LOGITS, ScoreRule
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.inference.trackers.slot_archive import RECENT, ArchivedSlots, ArchivedState
from genvis.inference.trackers.track_archive import TrackArchive, TrackRecords
from genvis.inference.trackers.video_tracker import SlotTracker, TrackedClip

SLOTS, CHANNELS, CLASSES = 4, 96, 3
# Things are as unlike as random directions are.
OPTIONS = ArchiveOptions(size=5, absent_frames=3, split_below=0.6, confirmed_after=1, margin=0.0, restart_queries=True)
some = settings(max_examples=60, deadline=None)


def look(thing: int) -> Tensor:
    """The embedding of a thing: unlike that of any other."""
    return normalize(torch.randn(CHANNELS, generator=torch.Generator().manual_seed(thing)), dim=0)


class ScriptedSlots(SlotTracker):
    """A network whose slots hold what a script says: things by number, or nothing (None).

    Its state is what it does at each step, and which slots were released.
    """

    is_causal = True

    def __init__(self, script: list[list[int | None]], score_rule: ScoreRule = GREATEST_PROBABILITY) -> None:
        self.script = script
        self.score_rule = score_rule
        self.released_at: list[tuple[int, list[int]]] = []

    def track(self, pixel_values: Tensor, state: int | None) -> tuple[TrackedClip, int]:
        step = state or 0
        things = self.script[step]
        presence = torch.tensor([0.05 if thing is None else 1.0 for thing in things])
        probabilities = torch.zeros(SLOTS, CLASSES)
        for slot, thing in enumerate(things):
            probabilities[slot, (thing or 0) % CLASSES] = presence[slot]
        clip = TrackedClip(
            track_ids=torch.arange(SLOTS),
            class_evidence=probabilities
            if self.score_rule.evidence != "mean_logits"
            else torch.cat([probabilities, 1 - presence[:, None]], dim=1).clamp(min=1e-4).log(),
            observations=torch.ones(SLOTS),
            presence=presence,
            mask_logits=torch.full((len(pixel_values), SLOTS, 2, 2), float(step)),
            embeddings=torch.stack(
                [look(1000 + slot if thing is None else thing) for slot, thing in enumerate(things)]
            ),
        )
        return clip, step + 1

    def released(self, state: int, slots: Tensor) -> int:
        self.released_at.append((state, torch.nonzero(slots).flatten().tolist()))
        return state

    def state_tensors(self, state: int | None) -> dict[str, Tensor]:
        return {} if state is None else {"step": torch.tensor(state)}

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> int | None:
        return int(tensors["step"]) if tensors else None


Seen = list[dict[int, int]]


def follow(
    script: list[list[int | None]], options: ArchiveOptions = OPTIONS, *, rule: ScoreRule = GREATEST_PROBABILITY
) -> tuple[Seen, list[ArchivedState], ScriptedSlots]:
    """Run a script; return for each step the number of each thing that is present, and all states."""
    network = ScriptedSlots(script, rule)
    tracker = ArchivedSlots(network, options)
    state: Any = None
    seen: Seen = []
    states = []
    for things in script:
        clip, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
        numbers = clip.track_ids.tolist()
        assert len(set(numbers)) == len(numbers)
        assert set(numbers) <= tracker.remembered(state) | set(numbers)
        rows = {tuple(row): number for row, number in zip(clip.embeddings.tolist(), numbers, strict=True)}
        seen.append({thing: rows[tuple(look(thing).tolist())] for thing in things if thing is not None})
        states.append(state)
    return seen, states, network


def a_thing_a_slot(things: int) -> st.SearchStrategy[list[list[int | None]]]:
    """Scripts in which things come and go in any slot, each at most once at a time."""
    step = st.lists(st.one_of(st.none(), st.integers(0, things - 1)), min_size=SLOTS, max_size=SLOTS)

    def once(things: list[int | None]) -> list[int | None]:
        return [None if thing in things[:slot] else thing for slot, thing in enumerate(things)]

    return st.lists(step.map(once), min_size=1, max_size=25)


@some
@given(
    script=a_thing_a_slot(12),
    size=st.integers(1, 6),
    absent=st.integers(1, 5),
    split=st.sampled_from([-1.0, 0.6]),
    confirmed=st.integers(1, 4),
)
def test_numbers_never_collide_and_the_archive_is_bounded(script, size, absent, split, confirmed):
    options = ArchiveOptions(size=size, absent_frames=absent, split_below=split, confirmed_after=confirmed, margin=0.0)
    _, states, _ = follow(script, options)
    latest = SLOTS
    for state in states:
        ledger = state.ledger
        held = [number for number in ledger.slots.numbers.tolist() if number >= 0]
        archived = ledger.archive.records.numbers.tolist()
        assert len(archived) <= size
        assert len({*held, *archived}) == len(held) + len(archived)  # A number is in one place.
        assert max([*held, *archived], default=0) < ledger.next_number
        assert ledger.next_number >= latest  # Numbers count up: none is given twice.
        latest = ledger.next_number


@some
@given(script=a_thing_a_slot(200))
def test_a_freed_or_taken_over_slot_never_leaks_its_number(script):
    """All things are unlike: whoever comes to a slot of which another left has another number."""
    seen, _, network = follow(script)
    gone = dict(network.released_at)
    numbers: dict[int, set[int]] = {}
    for things in seen:
        for thing, number in things.items():
            numbers.setdefault(number, set()).add(thing)
    assert all(len(things) == 1 for things in numbers.values())
    assert all(slots for slots in gone.values())


@some
@given(absence=st.integers(1, 30), other=st.booleans(), slot=st.integers(0, SLOTS - 1))
def test_who_comes_back_gets_the_old_number(absence, other, slot):
    """In whichever slot, and whether or not another has taken the old slot meanwhile; while it waits, it may."""
    script: list[list[int | None]] = [[7, None, None, None]] * 3 + [[8 if other else None, None, None, None]] * absence
    back: list[int | None] = [None] * SLOTS
    back[slot] = 7
    seen, states, network = follow([*script, back])
    is_archived = other or absence >= OPTIONS.absent_frames
    assert (seen[-1][7] == seen[0][7]) == (is_archived or slot == 0)
    if is_archived:
        assert len(states[-1].ledger.archive) == int(other and slot == 0)
        assert network.released_at == ([] if other else [(3 + OPTIONS.absent_frames, [0])])


@some
@given(script=a_thing_a_slot(SLOTS), rule=st.sampled_from([GREATEST_PROBABILITY, MEAN_LOGITS]))
def test_as_long_as_nothing_is_archived_clips_are_those_of_the_tracker(script, rule):
    script = [[thing if thing == slot else None for slot, thing in enumerate(things)] for things in script]
    options = ArchiveOptions(absent_frames=1000)
    plain, archived = ScriptedSlots(script, rule), ArchivedSlots(ScriptedSlots(script, rule), options)
    state = other = None
    for _ in script:
        (left, state), (right, other) = (
            tracker.track(torch.zeros(2, 3, 4, 4), before) for tracker, before in ((plain, state), (archived, other))
        )
        for one, another in zip(left, right, strict=True):
            assert torch.equal(one, another)


@some
@given(script=a_thing_a_slot(9), cut=st.integers(0, 24), rule=st.sampled_from([GREATEST_PROBABILITY, MEAN_LOGITS]))
def test_a_state_saved_in_the_middle_goes_on_as_if_uninterrupted(script, cut, rule):
    cut = min(cut, len(script))
    tracker, state = ArchivedSlots(ScriptedSlots(script, rule), OPTIONS), None
    expected = []
    for step in range(len(script)):
        if step == cut:
            saved = {name: tensor.clone() for name, tensor in tracker.state_tensors(state).items()}
            state = ArchivedSlots(ScriptedSlots(script, rule), OPTIONS).state_from_tensors(saved)
        clip, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
        expected.append(clip.track_ids.tolist())
    uninterrupted, state = [], None
    for _ in script:
        clip, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
        uninterrupted.append(clip.track_ids.tolist())
    assert expected == uninterrupted


def test_a_glimpse_is_neither_archived_nor_split():
    options = ArchiveOptions(absent_frames=2, confirmed_after=3, restart_queries=True)
    glimpse: list[list[int | None]] = [[1, None, None, None], [2, None, None, None], *[[None] * SLOTS] * 3]
    seen, states, network = follow(glimpse, options)
    assert seen[0][1] == seen[1][2]  # Too early to tell that it is another.
    assert not len(states[-1].ledger.archive)
    assert network.released_at == [(4, [0])]


@some
@given(before=a_thing_a_slot(SLOTS), after=a_thing_a_slot(6), is_saved=st.booleans())
def test_over_a_scene_change_only_the_archive_knows_the_tracks(before, after, is_saved):
    before = [[thing if thing == slot else None for slot, thing in enumerate(things)] for things in before]
    known = {
        thing: thing for things in before for thing in things if thing is not None
    }  # Thing to number: of its slot.
    network = ScriptedSlots(before)
    tracker, state = ArchivedSlots(network, OPTIONS), None
    for _ in before:
        _, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
    state = tracker.cut(state)
    assert state.inner is None
    assert set(state.ledger.slots.numbers.tolist()) == {-1}
    assert set(state.ledger.archive.records.numbers.tolist()) == set(known.values())
    if is_saved:
        state = tracker.state_from_tensors(tracker.state_tensors(state))
    network.script = after
    clip, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
    rows = {tuple(row): number for row, number in zip(clip.embeddings.tolist(), clip.track_ids.tolist(), strict=True)}
    for thing in after[0]:
        if thing is not None:
            number = rows[tuple(look(thing).tolist())]
            assert number == known[thing] if thing in known else number >= SLOTS
    assert len(clip.track_ids) == sum(thing is not None for thing in after[0])


@some
@given(moment=st.integers(1, 6), slot=st.integers(0, SLOTS - 1), undo=st.sampled_from([0.8, 1.0]))
def test_a_takeover_for_a_moment_is_undone(moment, slot, undo):
    """Whoever held the slot gets it back, if the other one is not confirmed; that one's number is gone for good."""
    confirmed = 4
    options = replace(OPTIONS, confirmed_after=confirmed, undo_above=undo, match_threshold=9.0)

    def step(thing: int) -> list[int | None]:
        return [thing if place == slot else None for place in range(SLOTS)]

    script = [*[step(7)] * confirmed, *[step(8)] * moment, *[step(7)] * 2, *[step(8)] * 2 * confirmed]
    seen, states, _ = follow(script, options)
    first, other = seen[0][7], seen[confirmed][8]
    assert other != first
    back = [things[7] for things in seen[confirmed + moment : confirmed + moment + 2]]
    assert (back == [first] * 2) == (moment < confirmed and undo < 1)
    if moment < confirmed and undo < 1:
        assert states[confirmed + moment].ledger.archive.records.numbers.tolist() == []
        assert seen[-1][8] not in (first, other)  # Now it stays.


@some
@given(absence=st.integers(RECENT - 3, RECENT + 3))
def test_a_takeover_is_undone_only_soon_after(absence):
    options = replace(OPTIONS, confirmed_after=2, absent_frames=1000, match_threshold=9.0)
    things: list[int | None] = [7, 7, 8, *[None] * absence, 7]
    seen, _, _ = follow([[thing, None, None, None] for thing in things], options)
    assert (seen[-1][7] == seen[0][7]) == (absence + 1 < RECENT)


@some
@given(
    cosine=st.floats(-1, 1),
    thing=st.integers(0, 50),
    is_earlier=st.booleans(),
    caution=st.floats(0, 0.3),
    threshold=st.floats(0.3, 1.3),
)
def test_over_a_scene_change_a_track_must_be_more_alike(cosine, thing, is_earlier, caution, threshold):
    archive = TrackArchive(
        records(1, thing, last_seen=5), ArchiveOptions(match_threshold=threshold, cut_caution=caution)
    )
    archive = archive.with_cut(5 if is_earlier else 4)
    across = normalize(look(thing + 100) - (look(thing + 100) @ look(thing)) * look(thing), dim=0)
    found = cosine * look(thing) + (1 - cosine**2) ** 0.5 * across
    similarity = cosine + 0.3  # Its class is sure.
    least = threshold + caution * is_earlier
    assume(abs(similarity - least) > 1e-5)
    came_back, tracks, after = archive.look_up(found[None], records(0, thing).classes)
    assert came_back.tolist() == [similarity > least]
    assert len(tracks) + len(after) == 1
    assert after.scene_after == archive.scene_after


class SometimesUnknown(ScriptedSlots):
    """Looks are not known in some steps."""

    def __init__(self, script: list[list[int | None]], unknown: set[int]) -> None:
        super().__init__(script)
        self.unknown = unknown

    def track(self, pixel_values: Tensor, state: int | None) -> tuple[TrackedClip, int]:
        clip, following = super().track(pixel_values, state)
        assert clip.embeddings is not None
        return clip._replace(embeddings=clip.embeddings * ((state or 0) not in self.unknown)), following


@some
@given(unknown=st.sets(st.integers(0, 7)), slot=st.integers(0, SLOTS - 1))
def test_a_track_whose_look_is_not_known_goes_on(unknown, slot):
    script: list[list[int | None]] = [[None] * slot + [7] + [None] * (SLOTS - slot - 1)] * 8
    tracker = ArchivedSlots(SometimesUnknown(script, unknown), OPTIONS)
    state: Any = None
    for _ in script:
        clip, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
        assert clip.track_ids.tolist() == list(range(SLOTS))
        assert not len(state.ledger.archive)
    known = bool(set(range(8)) - unknown)
    assert torch.allclose(state.ledger.slots.prototypes[slot], look(7) * known)


def test_a_new_object_of_unknown_look_matches_no_archived_track():
    """However little a track must resemble those of the archive."""
    script: list[list[int | None]] = [[5, None, None, None], [None] * 4, [None] * 4, [None] * 4, [None, 5, None, None]]
    options = replace(OPTIONS, match_threshold=0.0)
    for unknown, number in ((set(), 0), ({4}, 1)):
        tracker = ArchivedSlots(SometimesUnknown(script, unknown), options)
        state: Any = None
        for _ in script:
            _, state = tracker.track(torch.zeros(1, 3, 4, 4), state)
        assert state.ledger.slots.numbers[1] == number


def test_queries_are_left_alone_unless_they_are_to_start_anew():
    script: list[list[int | None]] = [[1, None, None, None], *[[None] * SLOTS] * 4]
    assert follow(script, replace(OPTIONS, restart_queries=False))[2].released_at == []
    assert follow(script)[2].released_at == [(4, [0])]


def test_a_clip_of_several_frames_counts_its_frames():
    network = ScriptedSlots([[1, None, None, None], [None] * SLOTS])
    tracker = ArchivedSlots(network, OPTIONS)
    _, state = tracker.track(torch.zeros(4, 3, 4, 4), None)
    tracker.track(torch.zeros(3, 3, 4, 4), state)
    assert network.released_at == [(2, [0])]


def records(number: int, thing: int, *, last_seen: int = 1) -> TrackRecords:
    classes = torch.zeros(1, CLASSES)
    classes[0, thing % CLASSES] = 1.0
    return TrackRecords(
        torch.tensor([number]),
        torch.tensor([last_seen]),
        torch.tensor([9.0]),
        look(thing)[None],
        classes,
        torch.tensor([-1]),
    )


def test_who_looks_like_two_archived_tracks_is_neither():
    archive = TrackArchive(records(1, 5).joined(records(2, 5)), ArchiveOptions())
    came_back, tracks, after = archive.look_up(look(5)[None], records(0, 5).classes)
    assert not came_back.any()
    assert len(tracks) == 0
    assert len(after) == 2
    only = TrackArchive(records(1, 5).joined(records(2, 6)), ArchiveOptions())
    came_back, tracks, after = only.look_up(look(5)[None], records(0, 5).classes)
    assert tracks.numbers.tolist() == [1]
    assert after.records.numbers.tolist() == [2]


def test_the_longest_unseen_is_forgotten():
    archive = TrackArchive(TrackRecords.empty(channels=CHANNELS, classes=CLASSES), ArchiveOptions(size=2))
    for number, last_seen in ((1, 30), (2, 10), (3, 20)):
        archive = archive.with_tracks(records(number, number, last_seen=last_seen))
    assert archive.records.numbers.tolist() == [1, 3]


def test_a_saved_state_of_another_tracker_is_refused():
    tracker = ArchivedSlots(ScriptedSlots([[1, 2, None, None]] * 2), OPTIONS)
    _, state = tracker.track(torch.zeros(1, 3, 4, 4), None)
    tensors = tracker.state_tensors(state)
    with pytest.raises(InputError, match="another tracker"):
        tracker.state_from_tensors({**tensors, "step": torch.tensor(1)})
    with pytest.raises(InputError, match="are damaged"):
        tracker.state_from_tensors({**tensors, "numbers.slots.numbers": torch.tensor([0, 0, 1, 2])})
    with pytest.raises(InputError, match="are damaged"):
        tracker.state_from_tensors({**tensors, "numbers.slots.homes": torch.tensor([0, 0, 1, 2])})
    with pytest.raises(InputError, match="where its scene began"):
        tracker.state_from_tensors({**tensors, "numbers.archive.scene_after": torch.zeros(2)})
    fewer = {name: value[:-1] if name.startswith("numbers.slots.") else value for name, value in tensors.items()}
    other = tracker.state_from_tensors(fewer)
    with pytest.raises(InputError, match="another model"):
        tracker.track(torch.zeros(1, 3, 4, 4), other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": -1},
        {"absent_frames": 0},
        {"looks": "masks"},
        {"split_below": 1.5},
        {"undo_above": -1.5},
        {"match_threshold": -1.0},
        {"margin": -0.1},
        {"cut_caution": -0.1},
    ],
)
def test_options_out_of_range_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        ArchiveOptions(**wrong)
