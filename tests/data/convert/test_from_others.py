"""Files as other tools write them: COCO with track ids, DAVIS, YouTube-VOS, KITTI MOTS and MOTSChallenge."""

import json
import shutil
from pathlib import Path

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
        ("0 1001 1 48", "is not 'frame id class height width rle'"),
        ("x 1001 1 48 64 abc", "is not 'frame id class height width rle'"),
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


CASES = Path(__file__).parents[1] / "cases"
CVAT_FRAMES = [f"images/frame_{number:06d}.png" for number in range(4)]


@pytest.mark.parametrize(
    ("given", "images", "above"),
    [
        ("task", "task", "default/"),
        ("task", "task/default", ""),
        ("task/default", "task/default", ""),
        ("task/default", "task/default/images", None),
        ("task/default/instances", "task/default", ""),
        ("task/default/instances", "task", "default/"),
    ],
)
def test_case_cvat_mots_export(given, images, above):
    """A frame without objects has no PNG in CVAT's export, and mask files are never taken as images."""
    root = CASES / "cvat_mots_export"
    dataset = read_mots(root / given, images=root / images)
    (video,) = dataset.videos
    names = (
        [name.removeprefix("images/") for name in CVAT_FRAMES] if above is None else [above + n for n in CVAT_FRAMES]
    )
    assert list(video.file_names) == names
    assert [category.name for category in dataset.categories] == ["crab", "urchin"]
    assert [(track.category_id, sorted(track.masks)) for track in video.tracks] == [(1, [0, 1, 3]), (2, [0, 1, 3])]
    assert video.name == "default"


def test_cvat_mots_export_without_its_images(tmp_path):
    shutil.copytree(CASES / "cvat_mots_export/task/default/instances", tmp_path / "task/default/instances")
    dataset = read_mots(tmp_path / "task")
    assert sorted(dataset.videos[0].tracks[0].masks) == [0, 1, 3]
    assert dataset.videos[0].file_names[2] == "default/frame_000002.jpg"
    assert "Frames without a mask file between the others, taken to show no object: 1." in dataset.remarks


def test_cvat_mots_export_of_several_subsets(tmp_path):
    for subset in ("Train", "Validation"):
        shutil.copytree(CASES / "cvat_mots_export/task/default", tmp_path / subset)
    dataset = read_mots(tmp_path, images=tmp_path)
    assert [video.name for video in dataset.videos] == ["Train", "Validation"]
    assert dataset.videos[1].file_names[3] == "Validation/images/frame_000003.png"
    (tmp_path / "Train/instances/labels.txt").chmod(0o644)
    (tmp_path / "Train/instances/labels.txt").write_text("urchin\ncrab\n")
    with pytest.raises(InputError, match="name other classes"):
        read_mots(tmp_path)
    (tmp_path / "Train/images/frame_000001.png").unlink()
    with pytest.raises(InputError, match="has no image"):
        read_mots(tmp_path)


@pytest.mark.parametrize("reader", [read_mots, read_indexed_png])
def test_mask_files_are_never_taken_as_images(tmp_path, reader):
    folder = tmp_path / "masks" / "video"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((HEIGHT, WIDTH), 1001, np.uint16)).save(folder / "00000.png")
    with pytest.raises(InputError, match="no images of the video"):
        reader(tmp_path / "masks", images=tmp_path / "masks")


def test_case_davis16_grey_alpha():
    dataset = read_indexed_png(CASES / "davis16_grey_alpha/davis16", void=-1)
    assert sizes(dataset) == [(255, 1, {0: 100, 1: 100, 2: 100})]


@pytest.mark.parametrize("mode", ["LA", "L", "P", "1", "I;16"])
def test_masks_of_every_mode_without_colours_are_read(tmp_path, mode):
    (tmp_path / "video").mkdir()
    pixels = rectangle(4, 5, 6, 7).astype(np.uint8)
    image = Image.fromarray(pixels.astype(np.uint16)) if mode == "I;16" else Image.fromarray(pixels * 255).convert(mode)
    image.save(tmp_path / "video" / "0.png")
    assert list(sizes(read_indexed_png(tmp_path, void=-1))[0][2].values()) == [42]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.txt", b"\xff\xfecar", "no text file in UTF-8"),
        ("seqmap.txt", b"a empty 0 " + b"9" * 5000, None),
        ("seqmap.txt", b"a empty 0 999999999", None),
        ("seqmap.txt", b"\xff\xff\xff", None),
        ("a.txt", b"0 1001 1 4294967296 4 06", "is not 'frame id"),
        ("a.txt", b"0 1001 1 999999 999999 06", "no possible size"),
        ("a.txt", b"0 1001 1 4 4 4<1", "mask in line 1"),
        ("a.txt", "0 1001 1 4 4 \u00e9".encode(), "not a text file of MOTS"),
    ],
)
def test_hostile_mots_files(tmp_path, name, content, message):
    (tmp_path / "a.txt").write_bytes(b"0 1001 1 4 4 04<\n")
    (tmp_path / name).write_bytes(content)
    if message is None:
        assert len(read_mots(tmp_path).videos[0].file_names) == 1
    else:
        with pytest.raises(InputError, match=message):
            read_mots(tmp_path)


def crowd_case():
    return json.loads((CASES / "coco_cvat_masks_crowd/instances_default.json").read_text())


@pytest.mark.parametrize(
    ("crowds", "crowd", "remark"),
    [
        ("auto", False, "taken as objects: 6 (--crowds keep"),
        ("object", False, "taken as objects: 6 (--crowds keep"),
        ("keep", True, "not trained on or scored: 6 (--crowds object"),
    ],
)
def test_case_coco_cvat_masks_crowd(crowds, crowd, remark):
    path = CASES / "coco_cvat_masks_crowd/instances_default.json"
    dataset = read_coco_tracks(path, identity="who", crowds=crowds)
    assert [track.crowd for track in dataset.videos[0].tracks] == [crowd] * 2
    assert [size for _, _, size in sizes(dataset)] == [{0: 80, 1: 80, 2: 80}] * 2
    assert any(remark in sentence for sentence in dataset.remarks)


def test_some_crowds_stay_crowds_and_are_told(tmp_path):
    """COCO itself marks a few masks; then CVAT's are not to be told from real crowds."""
    content = crowd_case()
    content["annotations"][0]["iscrowd"] = content["annotations"][2]["iscrowd"] = 0
    content["annotations"][4]["iscrowd"] = 0
    path = write_json(tmp_path / "a.json", content)
    dataset = read_coco_tracks(path, identity="who")
    assert [track.crowd for track in dataset.videos[0].tracks] == [False, True]
    assert any("not trained on or scored: 3" in sentence for sentence in dataset.remarks)


def test_a_check_warns_where_everything_is_a_crowd(tmp_path):
    result = check_annotations(CASES / "coco_cvat_masks_crowd/instances_default.json")
    assert result.findings.get("all-crowds").kind.severity == "warning"
    content = crowd_case()
    content["annotations"][0]["iscrowd"] = 0
    assert check_annotations(write_json(tmp_path / "a.json", content)).findings.get("all-crowds") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][0].update(id=10**400), "'id' of an image is 1000"),
        (lambda c: c["images"][0].update(height=1e400), "'height' of image 1 is inf"),
        (lambda c: c["images"][0].update(height=2**40), "no possible size"),
        (lambda c: c["images"][0].update(file_name="\udc80"), r"'file_name' of image 1 is '.udc80'"),
        (lambda c: c["categories"][0].update(name="\ud800"), "'name' of a category"),
        (
            lambda c: c["annotations"][0].update(segmentation={"size": [48, 64], "counts": [2**63, 2**63, 3072]}),
            "too long",
        ),
        (
            lambda c: c["annotations"][0]["segmentation"].update(counts="4<1"),
            "mask of annotation 1",
        ),
        (lambda c: c["annotations"][0].update(image_id=None), "'image_id' of annotation 1 is None"),
    ],
)
def test_hostile_coco_files(tmp_path, change, message):
    content = crowd_case()
    change(content)
    with pytest.raises(InputError, match=message):
        read_coco_tracks(write_json(tmp_path / "a.json", content), identity="who")


def test_whole_numbers_may_be_floats(tmp_path):
    """As pandas writes them."""
    content = crowd_case()
    expected = sizes(read_coco_tracks(write_json(tmp_path / "a.json", content), identity="who"))
    for entry in content["images"]:
        entry.update({key: float(entry[key]) for key in ("id", "width", "height")})
    for entry in content["annotations"]:
        entry.update({key: float(entry[key]) for key in ("id", "image_id", "category_id", "iscrowd")})
        entry["segmentation"]["size"] = [48.0, 64.0]
        entry["segmentation"]["counts"] = [float(count) for count in entry["segmentation"]["counts"]]
        entry["track_id"] = float(entry["attributes"]["who"][-1])
    path = write_json(tmp_path / "b.json", content)
    assert sizes(read_coco_tracks(path, identity="who")) == expected
    assert [identity for identity, _, _ in sizes(read_coco_tracks(path))] == [0, 1]
    assert check_annotations(path).passed


def test_names_with_numbers_of_thousands_of_digits_have_an_order(tmp_path):
    content = crowd_case()
    for number, entry in zip(("9" * 4999, "9" * 5000, "1" * 5000), content["images"], strict=True):
        entry["file_name"] = f"{number}.jpg"
    dataset = read_coco_tracks(write_json(tmp_path / "a.json", content), identity="who")
    assert [len(name) for name in dataset.videos[0].file_names] == [5003, 5004, 5004]
    assert dataset.videos[0].file_names[1].startswith("1")


def test_more_places_for_masks_than_a_file_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("genvis.data.convert.youtube_vis_writing.MOST_PLACES", 5)
    dataset = read_coco_tracks(CASES / "coco_cvat_masks_crowd/instances_default.json", identity="who")
    with pytest.raises(InputError, match=r"2 objects .* 6 places for masks"):
        write_youtube_vis(dataset, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"categories": [{"id": 1, "name": "\ud800"}], "videos": {}}, "are not objects with 'id' and 'name'"),
        ({"categories": [{"id": "1", "name": "a"}], "videos": {}}, "are not objects with 'id' and 'name'"),
        ({"categories": [5], "videos": {}}, "are not objects with 'id' and 'name'"),
        ({"videos": []}, "holds no object 'videos'"),
        ({"videos": {"one": {"objects": {"1": {"category": "\ud800", "id": 1e400}}, "id": 10**400}}}, None),
        ({"videos": {"one": {"frames": [[]], "file_names": ["\ud800"], "objects": 7, "id": True}}}, None),
    ],
)
def test_hostile_meta_files(tmp_path, meta, message):
    (tmp_path / "Annotations" / "one").mkdir(parents=True)
    Image.fromarray(rectangle(4, 5, 6, 7).astype(np.uint8)).save(tmp_path / "Annotations/one/0.png")
    write_json(tmp_path / "meta.json", meta)
    if message is not None:
        with pytest.raises(InputError, match=message):
            read_indexed_png(tmp_path)
        return
    dataset = read_indexed_png(tmp_path)
    write_youtube_vis(dataset, tmp_path / "out.json")
    assert check_annotations(tmp_path / "out.json").passed
    assert [category.name for category in dataset.categories] == ["object"]
