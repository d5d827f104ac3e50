import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco_mask

from genvis.categories import Categories, known_categories
from genvis.data.annotations.video_annotations import AnnotatedTrack
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.errors import InputError
from tests.data.annotations import annotation_files as files


@pytest.fixture
def content() -> dict[str, Any]:
    return files.document()


def test_videos_tracks_and_categories(tmp_path: Path, content: dict[str, Any]) -> None:
    annotations = load_youtube_vis(files.write(tmp_path, content))

    assert len(annotations) == 2
    assert annotations.categories == Categories("instances", (4, 30), ("bird", "fish"))
    assert annotations.video(0) == (40, files.HEIGHT, files.WIDTH, ("b/0.png", "b/1.png", "b/deep/2.png"))
    assert annotations.video(1) == (7, files.HEIGHT, files.WIDTH, ("a0.png", "a1.png"))
    assert [annotations.length(index) for index in range(2)] == [3, 2]
    assert annotations.tracks(0) == (AnnotatedTrack(9, 0, False), AnnotatedTrack(11, 1, False))
    assert annotations.tracks(1) == (AnnotatedTrack(5, 1, False), AnnotatedTrack(12, 0, True))


@pytest.mark.parametrize("sort_keys", [False, True])
def test_masks_of_every_form(tmp_path: Path, content: dict[str, Any], sort_keys: bool) -> None:
    annotations = load_youtube_vis(files.write(tmp_path, content, sort_keys=sort_keys))
    empty = files.rectangle(0, 0, 0, 0)
    box, other = files.rectangle(3, 5, 17, 30), files.rectangle(0, 0, 6, 37)

    first = annotations.masks(0)
    assert first.shape == (2, 3, files.HEIGHT, files.WIDTH)
    assert first.dtype == np.bool_
    np.testing.assert_array_equal(first[0], [box, empty, other])
    np.testing.assert_array_equal(first[1], [files.rectangle(2, 4, 10, 20), empty, empty])
    np.testing.assert_array_equal(annotations.masks(1), [[empty, box], [other, empty]])
    np.testing.assert_array_equal(annotations.present(0), [[True, False, True], [True, False, False]])


def test_frames_in_any_order_with_repeats_and_chosen_tracks(tmp_path: Path, content: dict[str, Any]) -> None:
    annotations = load_youtube_vis(files.write(tmp_path, content))
    everything = annotations.masks(0)

    np.testing.assert_array_equal(annotations.masks(0, [2, 0, 2]), everything[:, [2, 0, 2]])
    np.testing.assert_array_equal(annotations.masks(0, [1], tracks=[1]), everything[[1]][:, [1]])
    assert annotations.masks(0, [], tracks=[]).shape == (0, 0, files.HEIGHT, files.WIDTH)
    with pytest.raises(InputError, match="has 3 frames: choose indices from 0 to 2"):
        annotations.masks(0, [3])


def test_masks_are_those_of_the_file(tmp_path: Path, content: dict[str, Any]) -> None:
    annotations = load_youtube_vis(files.write(tmp_path, content))
    expected = content["annotations"][0]["segmentations"][1]

    mask = annotations.mask(1, 0, 1)
    assert mask is not None
    assert mask.to_coco() == expected
    assert annotations.mask(1, 0, 0) is None


def test_occlusion_levels_are_kept(tmp_path: Path, content: dict[str, Any]) -> None:
    content["annotations"][2]["occlusion"] = ["slight_occlusion", None, "of some other kind"]
    annotations = load_youtube_vis(files.write(tmp_path, content))

    levels = annotations.occlusion_levels
    assert levels == ("no_occlusion", "slight_occlusion", "severe_occlusion", "of some other kind")
    assert annotations.occlusion_of(0).tolist() == [[2, -1, 0], [1, -1, 3]]
    assert annotations.occlusion_of(1).tolist() == [[-1, -1], [-1, -1]]


def test_a_file_without_annotations_has_videos_without_tracks(tmp_path: Path, content: dict[str, Any]) -> None:
    content["annotations"] = None
    annotations = load_youtube_vis(files.write(tmp_path, content))

    assert annotations.tracks(0) == ()
    assert annotations.masks(0).shape == (0, 3, files.HEIGHT, files.WIDTH)


def test_categories_give_the_classes(tmp_path: Path, content: dict[str, Any]) -> None:
    ovis = known_categories("ovis")
    content["categories"] = [{"id": number, "name": ovis.names[number - 1]} for number in (3, 25)]
    for annotation in content["annotations"]:
        annotation["category_id"] = 3 if annotation["category_id"] == 4 else 25
    annotations = load_youtube_vis(files.write(tmp_path, content), ovis)

    assert annotations.categories is ovis
    assert [track.label for track in annotations.tracks(0)] == [2, 24]
    with pytest.raises(InputError, match="in youtube_vis_2021: choose the categories of this file"):
        load_youtube_vis(tmp_path / "instances.json", known_categories("youtube_vis_2021"))


def test_annotations_survive_pickling_for_worker_processes(tmp_path: Path, content: dict[str, Any]) -> None:
    annotations = load_youtube_vis(files.write(tmp_path, content))
    copy = pickle.loads(pickle.dumps(annotations))
    np.testing.assert_array_equal(copy.masks(0), annotations.masks(0))
    assert annotations.nbytes < 2000


@settings(deadline=None, max_examples=60)
@given(mask=npst.arrays(np.bool_, st.tuples(st.integers(1, 30), st.integers(1, 30))), uncompressed=st.booleans())
def test_any_mask_comes_back(
    tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray[Any, np.dtype[np.bool_]], uncompressed: bool
) -> None:
    encode = files.uncompressed if uncompressed else files.compressed
    path = files.write(
        tmp_path_factory.mktemp("masks"),
        {
            "videos": [{"id": 1, "height": mask.shape[0], "width": mask.shape[1], "file_names": ["0.png"]}],
            "categories": [{"id": 1, "name": "thing"}],
            "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": [encode(mask)]}],
        },
    )
    np.testing.assert_array_equal(load_youtube_vis(path).masks(0)[0, 0], mask)


def test_polygons_are_filled_as_pycocotools_does(tmp_path: Path, content: dict[str, Any]) -> None:
    corners = [[3.3, 2.7, 30.1, 5.9, 12.4, 22.2], [1, 1, 4, 1, 4, 6, 1, 6]]
    content["annotations"][2]["segmentations"][2] = corners
    parts = coco_mask.frPyObjects(corners, files.HEIGHT, files.WIDTH)
    masks = load_youtube_vis(files.write(tmp_path, content)).masks(0)
    np.testing.assert_array_equal(masks[1, 2], coco_mask.decode(coco_mask.merge(parts)).astype(bool))


Change = Callable[[dict[str, Any]], object]
WRONG: list[tuple[Change, str]] = [
    (lambda c: c["videos"][0].pop("id"), "A video of .* needs a whole number as 'id', not None"),
    (lambda c: c["videos"][0].update(id=7), "Video id 7 of .* occurs twice"),
    (lambda c: c["videos"][0].update(height="24"), "Video 40 of .* needs a whole number as 'height', not '24'"),
    (lambda c: c["videos"][0].update(width=0), "Video 40 of .* is wrong: 24x0 .* is no possible size"),
    (lambda c: c["videos"][1].update(file_names=[]), "Video 7 of .* has no list of file names"),
    (lambda c: c["videos"].append(None), "A video of .* needs a whole number as 'id'"),
    (lambda c: c["videos"].clear(), "has no videos or images"),
    (lambda c: c["categories"].clear(), "has no categories: add them, or name known ones"),
    (lambda c: c["categories"].append({"id": 4, "name": "cat"}), "Category id 4 of .* occurs twice"),
    (lambda c: c["categories"].append({"id": 5}), "Category 5 of .* has no 'name'"),
    (lambda c: c["annotations"][1].update(video_id=8), "Annotation 9 of .* belongs to video_id 8, which is not in"),
    (lambda c: c["annotations"][1].update(category_id=5), "Annotation 9 of .* has category_id 5, which is not among"),
    (lambda c: c["annotations"][1].pop("category_id"), "Annotation 9 of .* needs a whole number as 'category_id'"),
    (lambda c: c["annotations"][1]["segmentations"].pop(), "Annotation 9 of .* needs a list of 3 masks"),
    (lambda c: c["annotations"][0].update(segmentations=None), "Annotation 5 of .* needs a list of 2 masks"),
    (lambda c: c["annotations"][1]["segmentations"][0].update(size=[3, 3]), "annotation 9 in frame 0 .* is 3x3"),
    (lambda c: c["annotations"][1]["segmentations"][2].update(counts="~~"), "annotation 9 in frame 2 .* is wrong"),
    (lambda c: c["annotations"][1]["segmentations"][0]["counts"].append(4), "annotation 9 in frame 0 .* covers 892"),
    (lambda c: c["annotations"][2]["segmentations"].insert(0, 5), "Annotation 11 of .* needs a list of 3 masks"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_contradictions_are_named_with_their_record(
    tmp_path: Path, content: dict[str, Any], change: Change, said: str
) -> None:
    change(content)
    path = files.write(tmp_path, content)
    with pytest.raises(InputError, match=said) as caught:
        load_youtube_vis(path)
    assert str(path) in str(caught.value)


def test_results_are_not_annotations(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("[]")
    with pytest.raises(InputError, match="a list, as results are"):
        load_youtube_vis(path)
