"""Files as other tools write them: COCO with track ids, DAVIS, YouTube-VOS, KITTI MOTS and MOTSChallenge."""

import json

import numpy as np
import pytest
from PIL import Image

from genvis.data.check import check_annotations
from genvis.data.convert.coco_tracks import read_coco_tracks
from genvis.data.convert.indexed_png import read_indexed_png
from genvis.data.convert.mots import read_mots
from genvis.data.convert.youtube_vis_writing import write_youtube_vis
from genvis.errors import InputError
from tests.data.convert.sample_sets import HEIGHT, WIDTH, compressed, rectangle, write_json

SIZE = {"height": HEIGHT, "width": WIDTH}


def coco(annotations, images=None, **more):
    images = images or [{"id": k, "file_name": f"shop/{k}.jpg", **SIZE} for k in (10, 9, 11)]
    categories = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]
    return {"images": images, "categories": categories, "annotations": annotations, **more}


def entry(image, mask, category=3, **fields):
    return {"id": image * 100, "image_id": image, "category_id": category, "segmentation": compressed(mask), **fields}


def sizes(dataset, video=0):
    return [
        (track.id, track.category_id, {frame: int(mask.decode().sum()) for frame, mask in track.masks.items()})
        for track in dataset.videos[video].tracks
    ]


@pytest.mark.parametrize(
    "fields",
    [{"track_id": 4}, {"attributes": {"track_id": 4}}, {"instance_id": "4"}, {"attributes": {"instance_id": 4}}],
)
def test_coco_track_ids_are_found_where_tools_put_them(tmp_path, fields):
    annotations = [entry(11, rectangle(0, 0, 3, 3), **fields), entry(9, rectangle(0, 0, 2, 2), **fields)]
    dataset = read_coco_tracks(write_json(tmp_path / "a.json", coco(annotations)))
    assert [video.file_names for video in dataset.videos] == [("shop/9.jpg", "shop/10.jpg", "shop/11.jpg")]
    assert sizes(dataset) == [(4, 3, {0: 4, 2: 9})]


def test_coco_parts_of_one_track_in_one_image_are_joined(tmp_path):
    parts = [entry(9, rectangle(0, 0, 3, 3), who="a"), entry(9, rectangle(2, 0, 3, 3), who="a")]
    polygon = {"segmentation": [[20, 20, 30, 20, 30, 30, 20, 30]], "attributes": {"who": "b"}}
    empty = entry(10, rectangle(0, 0, 0, 0), who="a")
    annotations = [*parts, entry(10, rectangle(0, 0, 1, 1), category=5) | polygon, empty]
    dataset = read_coco_tracks(write_json(tmp_path / "a.json", coco(annotations)), identity="who")
    assert sizes(dataset) == [(1, 3, {0: 15}), (2, 5, {1: 100})]
    assert dataset.remarks == (
        "Annotations joined with another of the same image and track: 1.",
        "Annotations without a mask, or with no pixel in it, left out: 1.",
    )


def test_coco_videos_and_frame_numbers_are_respected(tmp_path):
    images = [
        {"id": 1, "file_name": "b.jpg", "video_id": 8, "frame_id": 1, **SIZE},
        {"id": 2, "file_name": "a.jpg", "video_id": 8, "frame_id": 5, **SIZE},
        {"id": 3, "file_name": "c.jpg", "video_id": 2, "frame_id": 0, **SIZE},
    ]
    annotations = [entry(image, rectangle(0, 0, 3, 3), track_id=1) for image in (1, 3)]
    content = coco(annotations, images, videos=[{"id": 8, "name": "beach"}, {"id": 2}])
    dataset = read_coco_tracks(write_json(tmp_path / "a.json", content))
    assert [(video.id, video.file_names) for video in dataset.videos] == [(8, ("b.jpg", "a.jpg")), (2, ("c.jpg",))]
    assert dataset.videos[0].name == "beach"
    # Track 1 of both videos is two objects: they get ids of their own.
    write_youtube_vis(dataset, tmp_path / "out.json")
    assert [item["id"] for item in json.loads((tmp_path / "out.json").read_text())["annotations"]] == [1, 2]
    assert check_annotations(tmp_path / "out.json").passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"track_id": None}, r"1 of the 2 annotations of .* have no track id \('track_id'"),
        ({"category_id": 5}, "track 1 of the video of image 10 is of category 3 in one image and of 5 in another"),
        ({"image_id": 77}, "image 77, which is not there"),
        ({"category_id": 6}, "category 6, which is not there"),
        ({"segmentation": {"size": [2, 2], "counts": [4]}}, "the mask of annotation 1000 is wrong: the mask is 2x2"),
    ],
)
def test_faults_of_coco_files_are_named(tmp_path, change, message):
    good = entry(9, rectangle(0, 0, 3, 3), track_id=1)
    content = coco([good, entry(10, rectangle(0, 0, 3, 3), track_id=1) | change])
    with pytest.raises(InputError, match=message):
        read_coco_tracks(write_json(tmp_path / "a.json", content))


def test_a_coco_file_without_images_is_named(tmp_path):
    with pytest.raises(InputError, match="has no list 'images'"):
        read_coco_tracks(write_json(tmp_path / "a.json", {"videos": []}))


@pytest.fixture
def davis(tmp_path):
    """A folder as DAVIS has it, of two videos; index 2 leaves the second frame, 255 is void."""
    for name, length in (("bear", 3), ("bus", 2)):
        folder = tmp_path / "Annotations" / "480p" / name
        folder.mkdir(parents=True)
        for frame in range(length):
            label_map = np.zeros((HEIGHT, WIDTH), np.uint8)
            label_map[2:6, 3 : 6 + frame] = 1
            if frame != 1:
                label_map[20:22, 20:22] = 2
            label_map[-1, -1] = 255
            image = Image.fromarray(label_map).convert("L")
            image.putpalette([255, 0, 0, 0, 255, 0] * 128)
            image.save(folder / f"{frame:05d}.png")
    return tmp_path


def test_davis_masks_are_palette_indices(davis):
    dataset = read_indexed_png(davis)
    assert [video.name for video in dataset.videos] == ["bear", "bus"]
    assert sizes(dataset) == [(1, 1, {0: 12, 1: 16, 2: 20}), (2, 1, {0: 4, 2: 4})]
    assert dataset.videos[0].file_names == ("bear/00000.jpg", "bear/00001.jpg", "bear/00002.jpg")
    assert [category.name for category in dataset.categories] == ["object"]
    assert "Pixels of index 255 (void) that became background (--void -1 makes them an object): 5." in dataset.remarks
    assert "Objects of the category 'object', as there is no meta.json: 4." in dataset.remarks


def test_void_can_be_an_object(davis):
    assert sizes(read_indexed_png(davis, void=-1))[-1] == (255, 1, {0: 1, 1: 1, 2: 1})


@pytest.mark.parametrize("layout", ["youtube-vos", "davis"])
def test_categories_come_from_the_meta_file(davis, layout):
    if layout == "youtube-vos":
        objects = {"1": {"category": "bear", "frames": ["00000"]}, "2": {"category": "apple"}}
        path = write_json(davis / "meta.json", {"videos": {"bear": {"objects": objects}, "bus": {"objects": {}}}})
        dataset = read_indexed_png(davis / "Annotations")
    else:
        path = write_json(davis / "semantics.json", {"bear": {"1": "bear", "2": "apple"}, "bus": {}})
        dataset = read_indexed_png(davis / "Annotations", meta=path)
    names = {category.id: category.name for category in dataset.categories}
    assert [names[track.category_id] for track in dataset.videos[0].tracks] == ["bear", "apple"]
    assert [names[track.category_id] for track in dataset.videos[1].tracks] == ["object", "object"]
    assert f"Objects of the category 'object', as they are not in '{path}': 2." in dataset.remarks


def test_images_are_found_beside_the_masks(davis):
    folder = davis / "JPEGImages" / "bear"
    folder.mkdir(parents=True)
    for frame in range(3):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{frame:05d}.png")
    masks = davis / "Annotations" / "480p" / "bear"
    dataset = read_indexed_png(masks, images=davis / "JPEGImages")
    assert dataset.videos[0].file_names[2] == "bear/00002.png"
    assert read_indexed_png(masks, images=folder).videos[0].file_names[2] == "00002.png"
    (folder / "00001.png").unlink()
    with pytest.raises(InputError, match=r"1 of the 3 frames of 'bear' have no image .* first '00001'"):
        read_indexed_png(masks, images=folder)


def test_pictures_in_colour_are_no_masks(davis):
    Image.new("RGB", (WIDTH, HEIGHT)).save(davis / "Annotations/480p/bear/00001.png")
    with pytest.raises(InputError, match="holds colours"):
        read_indexed_png(davis)


def test_frames_of_different_sizes_are_named(davis):
    Image.new("L", (WIDTH, HEIGHT + 1)).save(davis / "Annotations/480p/bear/00001.png")
    with pytest.raises(InputError, match=r"00001.png' is \(49, 64\) but the frames before are \(48, 64\)"):
        read_indexed_png(davis)


def test_a_folder_without_masks_is_named(tmp_path):
    with pytest.raises(InputError, match="no folders with PNG files"):
        read_indexed_png(tmp_path)


def mots_line(frame, identifier, mask, class_number=None):
    height, width = mask.shape
    class_number = identifier // 1000 if class_number is None else class_number
    return f"{frame} {identifier} {class_number} {height} {width} {compressed(mask)['counts']}"


def test_kitti_mots_text(tmp_path):
    lines = [
        mots_line(0, 1005, rectangle(0, 0, 3, 3)),
        mots_line(0, 2001, rectangle(9, 9, 2, 2)),
        mots_line(3, 1005, rectangle(1, 0, 3, 4)),
        mots_line(3, 10000, rectangle(40, 40, 8, 8)),
    ]
    (tmp_path / "0002.txt").write_text("\n".join(lines) + "\n")
    dataset = read_mots(tmp_path)
    assert [(category.id, category.name) for category in dataset.categories] == [(1, "car"), (2, "pedestrian")]
    assert sizes(dataset) == [(1005, 1, {0: 9, 3: 12}), (2001, 2, {0: 4})]
    assert dataset.videos[0].file_names == tuple(f"0002/00000{frame}.jpg" for frame in range(4))
    assert "Regions to ignore, left out: 1." in dataset.remarks


def test_the_published_example_line_is_read(tmp_path):
    # The example of the format's documentation.
    line = (
        "52 1005 1 375 1242 WSV:2d;1O10000O10000O1O100O100O1O100O1000000000000000O100O102N5K00O1O1N2O110OO2O001O1NTga3"
    )
    (tmp_path / "0000.txt").write_text(line)
    video = read_mots(tmp_path).videos[0]
    assert (video.height, video.width, len(video.file_names)) == (375, 1242, 52)
    mask = video.tracks[0].masks[51].decode()
    assert 0 < mask.sum() < 5000


def test_mots_challenge_counts_from_one_and_has_img1(tmp_path):
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt/0009.txt").write_text(mots_line(2, 2001, rectangle(0, 0, 3, 3)))
    assert read_mots(tmp_path / "gt").videos[0].file_names == ("0009/000001.jpg", "0009/000002.jpg")
    folder = tmp_path / "images/0009/img1"
    folder.mkdir(parents=True)
    for number in range(1, 5):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{number:06d}.jpg")
    video = read_mots(tmp_path / "gt", images=tmp_path / "images").videos[0]
    assert video.file_names == tuple(f"0009/img1/00000{number}.jpg" for number in range(1, 5))
    assert list(video.tracks[0].masks) == [1]


def test_mots_png(tmp_path):
    folder = tmp_path / "instances" / "0002"
    folder.mkdir(parents=True)
    for frame in range(2):
        label_map = np.zeros((HEIGHT, WIDTH), np.uint16)
        label_map[0:2, 0 : 2 + frame] = 1005
        label_map[10:12, 10:12] = 2001
        label_map[20:22, 20:22] = 10000
        Image.fromarray(label_map).save(folder / f"{frame:06d}.png")
    dataset = read_mots(tmp_path)
    assert sizes(dataset) == [(1005, 1, {0: 4, 1: 6}), (2001, 2, {0: 4, 1: 4})]
    assert dataset.videos[0].file_names[1] == "0002/000001.jpg"
    assert "Pixels to ignore, or of class 0, that became background: 8." in dataset.remarks


def test_class_names_come_from_a_file(tmp_path):
    (tmp_path / "a.txt").write_text(mots_line(0, 3001, rectangle(0, 0, 3, 3)))
    with pytest.raises(InputError, match=r"class 3, which has no name"):
        read_mots(tmp_path)
    (tmp_path / "labels.txt").write_text("cat\ndog\nkite surfer\n")
    dataset = read_mots(tmp_path)
    assert [category.name for category in dataset.categories] == ["cat", "dog", "kite surfer"]
    assert sizes(dataset) == [(3001, 3, {0: 9})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 1001 1 48", "is not 'frame id class height width run_lengths'"),
        ("x 1001 1 48 64 abc", "is not 'frame id class height width run_lengths'"),
        ("0 2001 1 48 64 abc", "gives object 2001 the class 1"),
        ("0 1001 1 48 64 abc", "The mask in line 2"),
        ("0 1001 1 48 65 abc", "a mask of 48x65"),
        (mots_line(0, 1000, rectangle(1, 1, 2, 2)), "the second for object 1000 in frame 0"),
    ],
)
def test_faults_of_mots_files_are_named(tmp_path, line, message):
    (tmp_path / "a.txt").write_text(mots_line(0, 1000, rectangle(0, 0, 3, 3)) + "\n" + line + "\n")
    with pytest.raises(InputError, match=message):
        read_mots(tmp_path)
