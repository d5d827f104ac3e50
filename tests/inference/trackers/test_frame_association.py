"""Memory matching on scripted detections: ids, revival, saved states, bounds; its parts against simple references."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genvis.errors import InputError
from genvis.fingerprint import Fingerprint
from genvis.inference.state_file import read_state, write_state
from genvis.inference.trackers.frame_association import (
    FrameDetections,
    FrameTracks,
    associate,
    mask_certainty,
)
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions
from genvis.inference.trackers.track_archive import match
from genvis.inference.trackers.track_memory import TrackMemory
from genvis.model.mask_overlap import mask_iou, suppress_overlaps

CHANNELS, CLASSES, SIZE = 16, 3, (12, 16)
CPU = torch.device("cpu")


def scripted_frame(objects: Sequence[int], *, noise: float = 0.05, seed: int = 0) -> FrameDetections:
    """Return one detection for each object: its own direction in query space, its own place, its own class."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.eye(CHANNELS)[list(objects)] + noise * torch.randn(len(objects), CHANNELS, generator=generator)
    probabilities = torch.full((len(objects), CLASSES), 0.02)
    masks = torch.full((len(objects), *SIZE), -6.0)
    for row, one in enumerate(objects):
        probabilities[row, one % CLASSES] = 0.9 - 0.01 * row
        masks[row, 3 * (one // 5) : 3 * (one // 5) + 2, 3 * (one % 5) : 3 * (one % 5) + 2] = 6.0
    return FrameDetections(queries, probabilities, masks)


def random_frame(seed: int, count: int, *, classes: int = CLASSES) -> FrameDetections:
    """Return detections without any sense."""
    generator = torch.Generator().manual_seed(seed)
    return FrameDetections(
        torch.randn(count, CHANNELS, generator=generator),
        torch.rand(count, classes, generator=generator),
        4.0 * torch.randn(count, *SIZE, generator=generator),
    )


def restored(tensors: dict[str, torch.Tensor]) -> TrackMemory:
    size = MemoryMatchingOptions().bank_size
    return TrackMemory.from_tensors(tensors, classes=CLASSES, channels=CHANNELS, bank_size=size, device=CPU)


def run(
    frames: Sequence[FrameDetections],
    options: MemoryMatchingOptions | None = None,
    memory: TrackMemory | None = None,
    *,
    archive: ArchiveOptions | None = None,
) -> tuple[list[FrameTracks], TrackMemory | None]:
    tracks = []
    for frame in frames:
        found, memory = associate(frame, memory, options or MemoryMatchingOptions(), archive=archive)
        tracks.append(found)
    return tracks, memory


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


PRESENCE = st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=25)


@settings(deadline=None, max_examples=40)
@given(PRESENCE)
def test_an_object_keeps_its_id_over_any_absence_and_no_other_object_gets_it(presence: list[set[int]]) -> None:
    options = MemoryMatchingOptions(keep_unconfirmed=1000)
    tracks, _ = run([scripted_frame(sorted(seen), seed=n) for n, seen in enumerate(presence)], options)
    ids: dict[int, int] = {}
    for seen, found in zip(presence, tracks, strict=True):
        assert len(found.track_ids) == len(seen)
        for track_id, row in zip(found.track_ids.tolist(), found.detections.tolist(), strict=True):
            assert ids.setdefault(sorted(seen)[row], track_id) == track_id
    assert sorted(ids.values()) == list(range(1, len(ids) + 1))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(0, 6), st.integers(1, 8), st.integers(0, 99))
def test_ids_are_distinct_and_a_forgotten_id_never_returns(
    counts: list[int], keep_frames: int, max_tracks: int, seed: int
) -> None:
    options = MemoryMatchingOptions(keep_frames=keep_frames, keep_unconfirmed=keep_frames, max_tracks=max_tracks)
    memory: TrackMemory | None = None
    known: set[int] = set()
    highest = 0
    for number, count in enumerate(counts):
        found, memory = associate(random_frame(seed + number, count), memory, options)
        ids = found.track_ids.tolist()
        assert len(set(ids)) == len(ids)
        fresh = sorted(set(ids) - known)
        assert fresh == list(range(highest + 1, highest + 1 + len(fresh)))
        highest += len(fresh)
        known = set(memory.ids.tolist())
        assert len(known) == len(memory) <= max_tracks
        assert bool((memory.age <= keep_frames).all())


@settings(deadline=None, max_examples=40)
@given(PRESENCE, st.integers(0, 3))
def test_with_an_archive_an_object_keeps_its_id_though_the_memory_forgets(
    presence: list[set[int]], keep_frames: int
) -> None:
    options = MemoryMatchingOptions(keep_frames=keep_frames, keep_unconfirmed=keep_frames)
    archive = ArchiveOptions(confirmed_after=1, match_threshold=0.9)
    frames = [scripted_frame(sorted(seen), seed=n) for n, seen in enumerate(presence)]
    tracks, memory = run(frames, options, archive=archive)
    ids: dict[int, int] = {}
    for seen, found in zip(presence, tracks, strict=True):
        for track_id, row in zip(found.track_ids.tolist(), found.detections.tolist(), strict=True):
            assert ids.setdefault(sorted(seen)[row], track_id) == track_id
    assert sorted(ids.values()) == list(range(1, len(ids) + 1))
    assert memory is not None
    assert memory.archive is not None
    assert {*memory.ids.tolist(), *memory.archive.records.numbers.tolist()} == set(ids.values())


@settings(deadline=None, max_examples=30)
@given(absence=st.integers(0, 9), keep_frames=st.integers(1, 8), absent_frames=st.integers(1, 8))
def test_with_an_archive_a_track_is_remembered_for_the_fewer_frames(
    absence: int, keep_frames: int, absent_frames: int
) -> None:
    """An archive from which no track comes back: none is like enough."""
    options = MemoryMatchingOptions(keep_frames=keep_frames, confirmed_after=1)
    nobody = ArchiveOptions(absent_frames=absent_frames, confirmed_after=1, match_threshold=9.0)
    frames = [scripted_frame([2]), *[scripted_frame([])] * absence, scripted_frame([2])]
    for archive, kept in ((None, keep_frames), (nobody, min(keep_frames, absent_frames))):
        tracks, memory = run(frames, options, archive=archive)
        assert memory is not None
        came_back = tracks[-1].track_ids.tolist() == tracks[0].track_ids.tolist()
        assert came_back == (absence <= kept)
        assert len(memory) == 1
        archived = 0 if memory.archive is None else len(memory.archive)
        assert archived == int(archive is not None and not came_back)


@settings(deadline=None, max_examples=30)
@given(st.sets(st.integers(0, 9), min_size=1), st.sets(st.integers(0, 9)), st.sampled_from([0.0, 2.0]), st.booleans())
def test_over_a_scene_change_only_who_is_more_alike_comes_back(
    before: set[int], after: set[int], caution: float, is_saved: bool
) -> None:
    archive = ArchiveOptions(confirmed_after=1, margin=0.0, cut_caution=caution)
    (first, *_), memory = run([scripted_frame(sorted(before), noise=0.01)] * 2, archive=archive)
    assert memory is not None
    memory = memory.with_cut()
    assert not len(memory)
    if is_saved:
        size = MemoryMatchingOptions().bank_size
        memory = TrackMemory.from_tensors(
            memory.tensors(), classes=CLASSES, channels=CHANNELS, bank_size=size, device=CPU, archive=archive
        )
    (found,), memory = run([scripted_frame(sorted(after), noise=0.01)], memory=memory, archive=archive)
    ids = {
        sorted(before)[row]: one for one, row in zip(first.track_ids.tolist(), first.detections.tolist(), strict=True)
    }
    for one, row in zip(found.track_ids.tolist(), found.detections.tolist(), strict=True):
        thing = sorted(after)[row]
        if thing in ids and caution == 0:
            assert one == ids[thing]
        else:
            assert one > len(before)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=40), st.integers(0, 6), st.integers(1, 5), st.integers(0, 99))
def test_an_archive_is_bounded_has_no_id_twice_and_is_saved(
    counts: list[int], keep_frames: int, size: int, seed: int
) -> None:
    options = MemoryMatchingOptions(keep_frames=keep_frames, keep_unconfirmed=keep_frames, max_tracks=4)
    archive = ArchiveOptions(size=size, confirmed_after=1, match_threshold=0.4, margin=0.0)
    memory: TrackMemory | None = None
    other: TrackMemory | None = None
    highest = 0
    for number, count in enumerate(counts):
        frame = random_frame(seed + number, count)
        found, memory = associate(frame, memory, options, archive=archive)
        again, other = associate(frame, other, options, archive=archive)
        assert_same(found._asdict(), again._asdict())
        held, archived = memory.ids.tolist(), [] if memory.archive is None else memory.archive.records.numbers.tolist()
        assert len(archived) <= size
        assert len({*held, *archived}) == len(held) + len(archived)
        new = [one for one in found.track_ids.tolist() if one > highest]
        assert sorted(new) == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
        other = TrackMemory.from_tensors(
            other.tensors(),
            classes=CLASSES,
            channels=CHANNELS,
            bank_size=options.bank_size,
            device=CPU,
            archive=archive,
        )


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=15), st.data(), st.integers(0, 99))
def test_a_saved_and_restored_state_continues_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], data: Any, seed: int
) -> None:
    frames = [random_frame(seed + number, count) for number, count in enumerate(counts)]
    cut = data.draw(st.integers(1, len(frames) - 1))
    whole, end = run(frames)
    first, memory = run(frames[:cut])
    assert memory is not None
    assert end is not None
    path = tmp_path_factory.mktemp("state") / "state.safetensors"
    write_state(path, memory.tensors(), {}, fingerprint=Fingerprint("test"))
    second, other_end = run(
        frames[cut:],
        memory=restored(read_state(path, Fingerprint("test"), remedy="none")[0]),
    )
    assert other_end is not None
    for one, other in zip(whole, first + second, strict=True):
        assert_same(one._asdict(), other._asdict())
    assert_same(end.tensors(), other_end.tensors())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_detections_changes_nothing(presence: list[set[int]], random: Any) -> None:
    frames, shuffled, orders = [], [], []
    for number, seen in enumerate(presence):
        frame = scripted_frame(sorted(seen), noise=0.3, seed=number)
        order = random.sample(range(len(seen)), len(seen))
        frames.append(frame)
        shuffled.append(FrameDetections(*(tensor[order] for tensor in frame)))
        orders.append(order)
    for one, other, order in zip(run(frames)[0], run(shuffled)[0], orders, strict=True):
        assert one.track_ids.tolist() == other.track_ids.tolist()
        assert one.detections.tolist() == [order[row] for row in other.detections.tolist()]


def test_memory_is_flat_over_thousands_of_frames() -> None:
    options = MemoryMatchingOptions(max_tracks=40, keep_frames=50, keep_unconfirmed=50)
    memory: TrackMemory | None = None
    sizes = []
    frames = [random_frame(seed, 6) for seed in range(61)]
    for number in range(2000):
        _, memory = associate(frames[number % len(frames)], memory, options)
        sizes.append(sum(tensor.nbytes for tensor in memory.tensors().values()))
    assert max(sizes[1000:]) <= max(sizes[:1000])
    bank_and_masks = 40 * options.bank_size * CHANNELS * 4 + 40 * SIZE[0] * SIZE[1]
    assert max(sizes) <= bank_and_masks + 40 * (3 * 8 + CLASSES * 4) + 16


@pytest.mark.parametrize(("count", "classes"), [(0, CLASSES), (0, 1), (1, 1), (500, 1), (500, CLASSES)])
def test_any_number_of_detections_and_classes(count: int, classes: int) -> None:
    frames = [random_frame(seed, count if seed % 2 else 3, classes=classes) for seed in range(6)]
    tracks, memory = run(frames)
    assert memory is not None
    assert memory.frames_seen == len(frames)
    for found, frame in zip(tracks, frames, strict=True):
        assert set(found.detections.tolist()) <= set(range(len(frame.queries)))
        assert len(set(found.detections.tolist())) == len(found.track_ids)
    assert memory.class_distribution.shape == (len(memory), classes)
    assert bool(torch.isfinite(memory.class_distribution).all())


def test_an_object_that_comes_back_too_late_gets_a_new_id() -> None:
    frames = [scripted_frame([0, 1])] * 4 + [scripted_frame([1])] * 5 + [scripted_frame([0, 1])]
    late, _ = run(frames, MemoryMatchingOptions(keep_frames=4))
    assert [found.track_ids.tolist() for found in late[-2:]] == [[2], [3, 2]]
    in_time, _ = run(frames, MemoryMatchingOptions(keep_frames=5))
    assert [found.track_ids.tolist() for found in in_time[-2:]] == [[2], [1, 2]]


def test_a_track_that_was_found_once_or_twice_is_soon_forgotten() -> None:
    options = MemoryMatchingOptions(confirmed_after=3, keep_unconfirmed=2)
    for seen, expected in ((2, [3, 2]), (3, [1, 2])):
        frames = [scripted_frame([0, 1])] * seen + [scripted_frame([1])] * 3 + [scripted_frame([0, 1])]
        assert run(frames, options)[0][-1].track_ids.tolist() == expected


def test_a_weak_detection_continues_a_track_but_starts_none() -> None:
    frame = scripted_frame([0])
    weak = frame._replace(class_probabilities=frame.class_probabilities * 0.2)
    tracks, _ = run([weak, frame, weak], MemoryMatchingOptions(birth_score=0.25))
    assert [found.track_ids.tolist() for found in tracks] == [[], [1], [1]]
    assert run([weak], MemoryMatchingOptions(birth_score=0.1))[0][0].track_ids.tolist() == [1]
    assert run([frame, weak], MemoryMatchingOptions(detection_threshold=0.2))[0][1].track_ids.tolist() == []


def test_position_tells_look_alikes_apart_and_appearance_finds_what_has_moved() -> None:
    left, right = scripted_frame([0]), scripted_frame([4])
    same_looks = FrameDetections(*(torch.cat(pair) for pair in zip(left, right, strict=True)))
    same_looks.queries[:] = 1.0
    same_looks.class_probabilities[:] = torch.tensor([[0.9, 0.05, 0.05], [0.8, 0.05, 0.05]])
    tracks, _ = run([same_looks] * 4)
    assert all(found.detections[found.track_ids.argsort()].tolist() == [0, 1] for found in tracks)
    moved = left._replace(mask_logits=right.mask_logits)
    assert [found.track_ids.tolist() for found in run([left, moved, left])[0]] == [[1], [1], [1]]


def test_a_frame_of_another_size_is_matched_by_appearance() -> None:
    frame = scripted_frame([0, 1])
    larger = frame._replace(mask_logits=frame.mask_logits.repeat_interleave(2, dim=1))
    tracks, memory = run([frame, larger, larger])
    assert [found.track_ids.tolist() for found in tracks] == [[1, 2]] * 3
    assert memory is not None
    assert memory.masks.shape[1:] == larger.mask_logits.shape[1:]


def test_the_appearance_of_a_track_is_its_nearest_queries() -> None:
    frames = [scripted_frame([0], noise=0.3, seed=seed) for seed in range(7)]
    _, memory = run(frames, MemoryMatchingOptions(bank_size=5, match_threshold=0.1))
    assert memory is not None
    assert len(memory) == 1
    query = torch.nn.functional.normalize(scripted_frame([0], noise=0.3, seed=99).queries, dim=1)
    kept = torch.nn.functional.normalize(torch.cat([frame.queries for frame in frames[-5:]]), dim=1)
    expected = (query @ kept.mT).sort(dim=1, descending=True).values[:, :3].mean(dim=1, keepdim=True)
    torch.testing.assert_close(memory.similarity(query, nearest=3), expected)


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 999), st.sampled_from([0.1, 0.3, 0.6, 1.0]))
def test_suppression_is_the_greedy_one(count: int, seed: int, iou: float) -> None:
    masks = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(seed)) > 0.4
    kept: list[int] = []
    for row in range(count):
        if all(float(mask_iou(masks[row : row + 1], masks[one : one + 1])) < iou for one in kept):
            kept.append(row)
    assert torch.nonzero(suppress_overlaps(masks, iou=iou)).flatten().tolist() == kept


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 999))
def test_the_assignment_has_the_greatest_total_and_nothing_below_the_threshold(
    rows: int, columns: int, seed: int
) -> None:
    similarity = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) * 2
    matches = match(similarity, threshold=1.0).tolist()
    taken = [column for column in matches if column >= 0]
    assert len(set(taken)) == len(taken)
    gains = [float(similarity[row, column]) - 1.0 for row, column in enumerate(matches) if column >= 0]
    assert all(gain >= 0 for gain in gains)
    places = [*range(columns), *[-1] * rows]
    best = max(
        sum(max(0.0, float(similarity[row, column]) - 1.0) for row, column in enumerate(order) if column >= 0)
        for order in set(permutations(places, rows))
    )
    assert sum(gains) == pytest.approx(best, abs=1e-5)


def test_what_is_no_number_is_matched_with_nothing() -> None:
    nan, inf = float("nan"), float("inf")
    assert match(torch.tensor([[nan, 2.0], [2.0, nan]]), threshold=1.0).tolist() == [1, 0]
    assert match(torch.tensor([[nan, 2.0], [nan, 3.0]]), threshold=1.0).tolist() == [-1, 1]
    assert match(torch.tensor([[nan, nan], [-inf, nan]]), threshold=1.0).tolist() == [-1, -1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_query_that_is_no_number_takes_no_id_and_the_others_keep_theirs(bad: float) -> None:
    broken = scripted_frame([0, 1, 2])
    broken.queries[1] = bad
    (first, during, after), _ = run([scripted_frame([0, 1, 2]), broken, scripted_frame([0, 1, 2], seed=1)])
    ids = dict(zip(first.detections.tolist(), first.track_ids.tolist(), strict=True))
    found = dict(zip(during.detections.tolist(), during.track_ids.tolist(), strict=True))
    assert (found[0], found[2]) == (ids[0], ids[2])
    assert found[1] not in ids.values()
    assert dict(zip(after.detections.tolist(), after.track_ids.tolist(), strict=True)) == ids


def test_certainty_of_masks() -> None:
    logits = torch.tensor([[[2.0, -3.0], [1.0, -1.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    torch.testing.assert_close(
        mask_certainty(logits), torch.tensor([float(torch.tensor([2.0, 1.0]).sigmoid().mean()), 0])
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("nms_iou", 1.5), ("birth_score", -0.1), ("bank_size", 0), ("keep_frames", -1), ("position_weight", float("nan"))],
)
def test_values_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}"):
        MemoryMatchingOptions(**{name: value})


def test_a_state_of_another_tracker_is_refused(tmp_path: Path) -> None:
    _, memory = run([scripted_frame([0, 1])])
    assert memory is not None
    tensors = memory.tensors()
    with pytest.raises(InputError, match="no 'bank'"):
        restored({name: tensor for name, tensor in tensors.items() if name != "bank"})
    with pytest.raises(InputError, match="'bank' does not fit the 2 saved track ids"):
        restored({**tensors, "bank": tensors["bank"][:1]})
