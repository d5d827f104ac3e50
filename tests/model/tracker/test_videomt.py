"""VidEoMT gives the numbers of the authors' implementation and of transformers' class, however a video is cut."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genvis.categories import Categories, known_categories
from genvis.checkpoints.infer_config import PublishedSettings
from genvis.checkpoints.published_files import read_state_dict
from genvis.checkpoints.published_videomt import is_published_videomt, videomt_from_published
from genvis.errors import InputError
from genvis.model.eomt_blocks import resampled_positions
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig, VidEoMTOutput
from tests.tiny_families import save_tiny_family, tiny_family

GOLDEN = Path(__file__).parents[2] / "golden" / "inference"
LABELS = Categories("", (1, 2, 3, 4, 5), tuple(f"class {number}" for number in range(1, 6)))


@cache
def model(source: str) -> VidEoMT:
    if source == "folder":
        loaded: VidEoMT = VidEoMT.from_pretrained(GOLDEN / "videomt_tiny")
        return loaded.eval()
    return videomt_from_published(
        read_state_dict(GOLDEN / "videomt_tiny.pth"), settings=PublishedSettings(), file="videomt_tiny.pth"
    )


@cache
def golden() -> dict[str, Any]:
    with np.load(GOLDEN / "videomt_tiny.npz") as file:
        return dict(file)


def pixel_values() -> Tensor:
    frames = torch.from_numpy(golden()["frames"]).permute(0, 3, 1, 2)
    preprocessing = model("folder").preprocessing.with_resolution(90)
    return preprocessing.normalize(preprocessing.resize(frames))


@torch.inference_mode()
def run(network: VidEoMT, pixels: Tensor, clips: list[int]) -> VidEoMTOutput:
    state: Tensor | None = None
    outputs = []
    for clip in pixels.split(clips):
        outputs.append(network.step(clip, state))
        state = outputs[-1].state
    assert state is not None
    return VidEoMTOutput(
        torch.cat([output.class_logits for output in outputs]),
        torch.cat([output.mask_logits for output in outputs]),
        state,
    )


def assert_golden(output: VidEoMTOutput) -> None:
    for name in ("class_logits", "mask_logits"):
        torch.testing.assert_close(getattr(output, name), torch.from_numpy(golden()[name]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("source", ["folder", "pth"])
def test_class_and_mask_logits_are_those_of_the_authors_at_a_size_that_is_not_square(source: str) -> None:
    assert pixel_values().shape[-2:] == (96, 160)
    assert_golden(run(model(source), pixel_values(), [5]))


@pytest.mark.parametrize("clips", [[1, 1, 1, 1, 1], [2, 3], [3, 1, 1], [5]])
def test_frames_may_come_one_by_one_in_clips_or_all_at_once(clips: list[int]) -> None:
    output = run(model("folder"), pixel_values(), clips)
    assert_golden(output)
    torch.testing.assert_close(output.state, run(model("folder"), pixel_values(), [5]).state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("source", ["golden", "random"])
def test_at_its_square_size_it_equals_the_class_of_transformers(source: str, tmp_path: Path) -> None:
    folder = GOLDEN / "videomt_tiny" if source == "golden" else save_tiny_family(tmp_path, "videomt", seed=3)
    ours: VidEoMT = VidEoMT.from_pretrained(folder).eval()
    reference = type(tiny_family("videomt")).from_pretrained(folder).eval()
    side = ours.config.image_size
    video = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = reference(pixel_values_videos=video[None])
    output = run(ours, video, [1, 3])
    torch.testing.assert_close(output.class_logits, expected.class_queries_logits, rtol=0, atol=2e-5)
    torch.testing.assert_close(output.mask_logits, expected.masks_queries_logits, rtol=0, atol=2e-5)


def test_a_saved_folder_is_read_by_transformers_and_keeps_its_categories(tmp_path: Path) -> None:
    network = videomt_from_published(
        read_state_dict(GOLDEN / "videomt_tiny.pth"), settings=PublishedSettings(), file="a.pth"
    )
    network.save_pretrained(tmp_path)
    reference, information = type(tiny_family("videomt")).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(information.values())
    assert reference.config.id2label == dict(enumerate(LABELS.names))
    assert VidEoMTConfig.from_pretrained(tmp_path).categories == LABELS


def test_the_state_does_not_grow() -> None:
    network, frame = model("folder"), pixel_values()[:1]
    state: Tensor | None = None
    with torch.inference_mode():
        for _ in range(3):
            state = network.step(frame, state).state
            assert state.shape == (1, 12, 64)
            assert state.untyped_storage().nbytes() < 2 * frame.nbytes


def test_the_position_table_is_resampled_only_for_another_grid() -> None:
    table = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    assert resampled_positions(table, (3, 3)) is table
    constant = resampled_positions(torch.ones(9, 4), (2, 7))
    torch.testing.assert_close(constant, torch.ones(14, 4))
    upright, wide = resampled_positions(table, (6, 3)), resampled_positions(table, (3, 6))
    turned = table.view(3, 3, 4).transpose(0, 1).reshape(9, 4)
    torch.testing.assert_close(resampled_positions(turned, (3, 6)).view(3, 6, 4).transpose(0, 1), upright.view(6, 3, 4))
    assert not torch.equal(upright, wide)


def test_occupancy_weighted_propagation_is_a_mixture_of_the_states() -> None:
    network, pixels = model("folder"), pixel_values()[:2]
    with torch.inference_mode():
        old = network.step(pixels[:1], occupancy_weighted=True)
        new = network.step(pixels[1:], old.state)
        mixed = network.step(pixels[1:], old.state, occupancy_weighted=True)
        together = network.step(pixels, occupancy_weighted=True)
        assert torch.equal(old.state, network.step(pixels[:1]).state)  # A first frame has nothing to mix.
    assert torch.equal(mixed.class_logits, new.class_logits)
    occupied = 1 - new.class_logits[0].softmax(dim=-1)[:, -1:]
    torch.testing.assert_close(mixed.state, occupied * new.state + (1 - occupied) * old.state, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.state, mixed.state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("occupancy_weighted", [False, True])
def test_rows_of_zeros_are_queries_without_a_past(occupancy_weighted: bool) -> None:
    network, pixels = model("folder"), pixel_values()[:2]
    with torch.inference_mode():
        first = network.step(pixels, occupancy_weighted=occupancy_weighted)
        same = network.step(pixels, network.empty_state, occupancy_weighted=occupancy_weighted)
        for left, right in zip(first, same, strict=True):
            assert torch.equal(left, right)
        # One such row among others: its query starts from the learned embedding, the others go on.
        state = first.state.clone()
        state[:, 3] = 0
        added = network._update(state)
        assert not added[:, 3].any()
        assert torch.equal(added[:, 4], network.query_updater(state)[:, 4])


@pytest.mark.parametrize(("name", "resolution"), [("ovis", 544), ("youtube_vis_2019", 448), ("youtube_vis_2021", 448)])
def test_the_published_resolution_follows_from_the_categories(name: str, resolution: int) -> None:
    labels = known_categories(name)
    config = VidEoMTConfig(id2label=dict(enumerate(labels.names)))
    preprocessing = config.preprocessing
    assert preprocessing.resized_size(720, 1280)[0] == resolution
    assert all(side % 32 == 0 for side in preprocessing.padded_size(*preprocessing.resized_size(719, 1281)))


def test_wrong_shapes_are_named() -> None:
    network = model("folder")
    with pytest.raises(InputError, match=r"\(F, 3, H, W\)"):
        network.step(torch.zeros(1, 1, 3, 32, 32))
    with pytest.raises(InputError, match="multiple of 16"):
        network.step(torch.zeros(1, 3, 30, 32))
    with pytest.raises(InputError, match=r"\(1, 2, 64\) instead of \(1, 12, 64\)"):
        network.step(torch.zeros(1, 3, 32, 32), torch.zeros(1, 2, 64))


def test_published_tensors_are_all_accounted_for() -> None:
    state = read_state_dict(GOLDEN / "videomt_tiny.pth")
    assert is_published_videomt(state)
    assert not is_published_videomt(read_state_dict(GOLDEN / "genvis_r50_tiny.pth"))
    changed = dict(state)
    changed["backbone.q.weight"] = changed["backbone.q.weight"][:, :5]
    changed["backbone.something"] = torch.zeros(1)
    del changed["backbone.query_updater.bias"]
    with pytest.raises(InputError) as caught:
        videomt_from_published(changed, settings=PublishedSettings(), file="a.pth")
    for part in ("unknown: backbone.something", "missing: the tensor for query_updater.bias", "(12, 5) instead of"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match="5 classes but 'ovis' has 25"):
        videomt_from_published(state, settings=PublishedSettings(categories="ovis"), file="a.pth")
    with pytest.raises(InputError, match=r"no tensor 'backbone\.class_head\.weight'"):
        videomt_from_published(
            {name: tensor for name, tensor in state.items() if "class_head" not in name},
            settings=PublishedSettings(),
            file="a.pth",
        )


class Stream(torch.nn.Module):
    """A step as the `forward` that exporters want."""

    def __init__(self, network: VidEoMT) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return tuple(self.network.step(pixel_values, state))


def test_a_graph_of_a_step_can_be_exported() -> None:
    stream, pixels = Stream(model("folder")), pixel_values()[:2]
    with torch.no_grad():
        state = model("folder").step(pixels).state
        expected = stream(pixels, state)
        exported = torch.export.export(stream, (pixels, state), strict=False).module()
        for ours, wanted in zip(exported(pixels, state), expected, strict=True):
            torch.testing.assert_close(ours, wanted)
