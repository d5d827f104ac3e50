import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis import InputError, VideoSegmenter
from genvis.errors import OutputError
from genvis.inference.mask_geometry import MaskGeometry
from genvis.inference.mask_store import MaskStore
from genvis.video import Frame


def golden_tracks(model, frames, clip_length, tracker=None):
    """The ten (track, class) pairs of the published procedure, frames at the size of the golden data."""
    segmenter = VideoSegmenter(model, clip_length=clip_length, resolution=96, tracker=tracker)
    run = segmenter.start(name="golden", overlaps="keep")
    clips = segmenter.clips(Frame(image, index, index / 10, str(index)) for index, image in enumerate(frames))
    for clip in clips:
        run.add(clip)
    # The golden masks are of another size than the frames: what the network saw was not resized for them.
    run._sizes = run._sizes._replace(frame=(120, 180))
    result = run.result(segmenter.selection(detections=10, one_label_each=False))
    run.close()
    return result.tracks


@pytest.mark.parametrize("backbone", ["r50", "swin"])
@pytest.mark.parametrize("case", ["clip1", "clip3", "vita"])
def test_scores_labels_and_masks_are_the_published_ones(backbone, case, tiny_models, golden_frames, golden_folder):
    model = tiny_models[backbone]
    if case == "vita":
        model = model.as_vita(encoder_window_size=3)
    file = f"inference_vita_{backbone}_window3.npz" if case == "vita" else f"inference_{backbone}_{case}.npz"
    golden = np.load(golden_folder / file)
    shape = tuple(golden["mask_shape"])
    golden_masks = np.unpackbits(golden["masks"], axis=-1)[..., : shape[-1]].astype(bool)
    tracks = golden_tracks(model, golden_frames, 3 if case == "clip3" else 1)
    assert len(tracks) == shape[0]
    unmatched = set(range(shape[0]))
    for track in tracks:
        masks = np.stack([np.zeros(shape[2:], bool) if mask is None else mask.decode() for mask in track.masks])
        same_label = [k for k in unmatched if golden["labels"][k] == track.label_id]
        best = max(same_label, key=lambda k: (masks == golden_masks[k]).mean() - abs(golden["scores"][k] - track.score))
        unmatched.remove(best)
        assert track.score == pytest.approx(golden["scores"][best], abs=1e-4)
        assert (masks == golden_masks[best]).mean() >= 0.999


def test_the_facade_gives_what_its_parts_give(tiny_model, golden_frames):
    segmenter = VideoSegmenter(tiny_model, clip_length=3, resolution=96)
    result = segmenter.segment(golden_frames)
    other = VideoSegmenter(tiny_model, clip_length=3, resolution=96).segment(iter(golden_frames))
    assert [track.score for track in result.tracks] == [track.score for track in other.tracks]
    assert [track.masks for track in result.tracks] == [track.masks for track in other.tracks]
    assert len(result) == 8
    assert (result.height, result.width) == (96, 144)


def test_one_label_each_keeps_identities_apart(tiny_model, golden_frames):
    segmenter = VideoSegmenter(tiny_model, resolution=96)
    all_labels = segmenter.segment(golden_frames, detections=30, overlaps="keep")
    one_each = segmenter.segment(golden_frames, detections=30, overlaps="keep", one_label_each=True)
    assert len(one_each.tracks) == 12 < len(all_labels.tracks) == 30


def test_classes_restrict_the_selection(tiny_model, golden_frames):
    segmenter = VideoSegmenter(tiny_model, resolution=96, classes=["class 2"])
    assert {track.label for track in segmenter.segment(golden_frames).tracks} == {"class 2"}
    with pytest.raises(InputError, match="class 9"):
        VideoSegmenter(tiny_model, classes=["class 9"])


@settings(deadline=None)  # Times depend on the machine.
@given(
    frame=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    resized=st.tuples(st.integers(8, 70), st.integers(8, 70)),
    seed=st.integers(0, 2**16),
    offset=st.floats(-2, 1),
)
def test_a_mask_resized_in_its_box_is_the_whole_mask_resized_twice(frame, resized, seed, offset):
    stride4 = tuple(-(-length // 32) * 8 for length in resized)
    logits = torch.randn(1, 1, *stride4, generator=torch.Generator().manual_seed(seed)) + offset
    # Smooth, as real masks are, so that positive parts have borders.
    logits = torch.nn.functional.avg_pool2d(logits, 3, stride=1, padding=1)
    padded = torch.nn.functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
    cropped = padded[..., : resized[0], : resized[1]]
    expected = torch.nn.functional.interpolate(cropped, size=frame, mode="bilinear", align_corners=False)[0, 0]
    store = MaskStore()
    store.add(0, logits[0], torch.tensor([0]))
    geometry = MaskGeometry(frame=frame, resized=resized, padded=tuple(4 * length for length in stride4), masks=stride4)
    crops = list(store.crops([0]))
    if not crops:
        assert not (expected > 0).any()
        return
    (_, _, crop), clear = crops[0], expected.abs() > 1e-5
    mask = torch.from_numpy(geometry.mask(crop)).bool()
    assert torch.equal(mask[clear], (expected > 0)[clear])
    quality = geometry.quality(crop)
    inside = cropped[cropped > 0]
    assert quality.area == pytest.approx(inside.numel(), abs=2)
    assert quality.total == pytest.approx(float(inside.sigmoid().sum()), rel=1e-3, abs=1.5)


def test_store_moves_to_a_file_and_comes_back(tmp_path):
    generator = torch.Generator().manual_seed(0)
    frames = [torch.randn(4, 10, 12, generator=generator) for _ in range(6)]
    first = MaskStore(tmp_path / "masks.bin")
    for position in range(4):
        first.add(position, frames[position], torch.arange(4))
    index = first.index()
    first.add(4, torch.ones(4, 10, 12), torch.arange(4))  # Written after the index was taken: to be forgotten.
    first.close()
    second = MaskStore(tmp_path / "masks.bin")
    second.restore(index, (10, 12))
    for position in (4, 5):
        second.add(position, frames[position], torch.arange(4))
    straight = MaskStore()
    for position, logits in enumerate(frames):
        straight.add(position, logits, torch.arange(4))
    for (left_position, left_query, left), (right_position, right_query, right) in zip(
        second.crops([1, 3]), straight.crops([1, 3]), strict=True
    ):
        assert (left_position, left_query, left.top, left.left) == (right_position, right_query, right.top, right.left)
        assert np.array_equal(left.logits, right.logits)


def test_a_truncated_store_is_refused(tmp_path):
    store = MaskStore(tmp_path / "masks.bin")
    store.add(0, torch.ones(2, 8, 8), torch.arange(2))
    index = store.index()
    store.close()
    (tmp_path / "masks.bin").write_bytes(b"")
    with pytest.raises(InputError, match="truncated"):
        MaskStore(tmp_path / "masks.bin").restore(index, (8, 8))


def test_a_full_disk_is_one_sentence():
    store = MaskStore()

    class FullDisk:
        def seek(self, *_):
            return 0

        def write(self, _):
            raise OSError(28, "No space left on device")

    store._file = FullDisk()
    with pytest.raises(OutputError, match="No space left on device"):
        store.add(3, torch.ones(1, 8, 8), torch.tensor([0]))
