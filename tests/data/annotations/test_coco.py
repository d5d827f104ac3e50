from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genvis.categories import coco_to, known_categories
from genvis.data.annotations.coco import load_coco
from genvis.errors import InputError
from tests.data.annotations import annotation_files as files


@pytest.fixture
def content() -> dict[str, Any]:
    coco = known_categories("coco")
    return {
        "images": [
            {"id": 581921, "file_name": "x/1.jpg", "height": files.HEIGHT, "width": files.WIDTH},
            {"id": 3, "file_name": "2.jpg", "height": files.HEIGHT, "width": files.WIDTH},
        ],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, "segmentation": files.polygon(1, 2, 9, 8), "iscrowd": 0},
            {
                "id": 2,
                "image_id": 3,
                "category_id": 1,
                "segmentation": files.uncompressed(files.rectangle(0, 0, 5, 5)),
                "iscrowd": 1,
            },
            # A dining table has no counterpart in the video data sets.
            {"id": 3, "image_id": 3, "category_id": 67, "segmentation": files.polygon(5, 5, 9, 9), "iscrowd": 0},
        ],
        "categories": [{"id": number, "name": name} for number, name in zip(coco.ids, coco.names, strict=True)],
    }


@pytest.mark.parametrize("sort_keys", [False, True])
def test_images_are_videos_of_one_frame(tmp_path: Path, content: dict[str, Any], sort_keys: bool) -> None:
    annotations = load_coco(files.write(tmp_path, content, sort_keys=sort_keys))

    assert annotations.video(0) == (581921, files.HEIGHT, files.WIDTH, ("x/1.jpg",))
    assert annotations.tracks(0) == ()
    labels = annotations.categories.names
    assert [(labels[track.label], track.crowd) for track in annotations.tracks(1)] == [
        ("person", False),
        ("person", True),
        ("dining table", False),
    ]
    np.testing.assert_array_equal(annotations.masks(1)[0, 0], files.rectangle(1, 2, 9, 8))
    np.testing.assert_array_equal(annotations.masks(1)[1, 0], files.rectangle(0, 0, 5, 5))


@pytest.mark.parametrize("name", ["youtube_vis_2019", "youtube_vis_2021", "youtube_vis_2022", "ovis"])
def test_classes_are_mapped_and_others_left_out(tmp_path: Path, content: dict[str, Any], name: str) -> None:
    annotations = load_coco(files.write(tmp_path, content), classes_of=name)

    assert annotations.categories == known_categories(name)
    assert [track.id for track in annotations.tracks(1)] == [1, 2]
    assert {track.label for track in annotations.tracks(1)} == {known_categories(name).ids.index(coco_to(name)[1])}
    assert annotations.categories.names[annotations.tracks(1)[0].label].lower() == "person"


def test_other_categories_than_cocos_cannot_be_mapped(tmp_path: Path, content: dict[str, Any]) -> None:
    content["categories"][0]["name"] = "zeppelin"
    with pytest.raises(InputError, match=r"Category 1 of .* is 'zeppelin', but 'person' in coco"):
        load_coco(files.write(tmp_path, content), classes_of="ovis")


def test_a_video_file_is_not_an_image_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no videos or images"):
        load_coco(files.write(tmp_path, {"videos": [], "annotations": []}))


def test_wrong_images_are_named(tmp_path: Path, content: dict[str, Any]) -> None:
    content["annotations"][0]["image_id"] = 99
    with pytest.raises(InputError, match=r"Annotation 1 of .* belongs to image_id 99, which is not in the file"):
        load_coco(files.write(tmp_path, content))
    del content["images"][0]["file_name"]
    with pytest.raises(InputError, match=r"Image 581921 of .* has no list of file names"):
        load_coco(files.write(tmp_path, content))
