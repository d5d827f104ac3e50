from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.samples.frames import image_path, read_frame
from genvis.data.samples.video_dataset import VideoDataset
from genvis.errors import InputError
from tests.data.annotations import annotation_files as files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files.write_images(tmp_path / "JPEGImages", files.document())
    return tmp_path / "JPEGImages"


@pytest.fixture
def annotations(tmp_path: Path) -> VideoAnnotations:
    return load_youtube_vis(files.write(tmp_path, files.document()))


def test_an_item_is_a_whole_video_without_crowds(annotations: VideoAnnotations, root: Path) -> None:
    videos = VideoDataset(annotations, root)
    assert [len(sample.frames) for sample in videos] == [3, 2]

    first, second = videos[0], videos[1]
    assert (first.video_id, first.source, first.labels.tolist()) == (40, "instances", [0, 1])
    assert first.frames[:, :2, 5, 5].tolist() == [[40, 0], [40, 1], [40, 2]]
    assert torch.equal(first.masks, torch.from_numpy(annotations.masks(0)))
    # The second track of this video is a crowd.
    assert second.labels.tolist() == [1]
    assert torch.equal(second.masks, torch.from_numpy(annotations.masks(1, tracks=[0])))


def test_chosen_frames_keep_their_order_and_repeats(annotations: VideoAnnotations, root: Path) -> None:
    videos = VideoDataset(annotations, root)
    sample = videos.sample(0, [2, 2, 0])

    assert sample.frames[:, 1, 0, 0].tolist() == [2, 2, 0]
    assert torch.equal(sample.masks, videos[0].masks[:, [2, 2, 0]])
    # Read once, yet each frame has memory of its own, so that changing one leaves the others alone.
    sample.frames[0] = 0
    assert sample.frames[1].any()


def test_videos_without_objects_can_be_skipped(tmp_path: Path, root: Path) -> None:
    content = files.document()
    content["annotations"][0]["segmentations"] = [None, None]
    annotations = load_youtube_vis(files.write(tmp_path, content))

    assert len(VideoDataset(annotations, root)) == 2
    assert VideoDataset(annotations, root)[1].masks.shape[0] == 0
    videos = VideoDataset(annotations, root, skip_empty=True)
    assert [videos.video(index).id for index in range(len(videos))] == [40]
    content["annotations"] = []
    with pytest.raises(InputError, match="has no video with objects"):
        VideoDataset(load_youtube_vis(files.write(tmp_path, content)), root, skip_empty=True)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b.png", "..\\b.png", "C:\\b.png", ""])
def test_file_names_never_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not inside the folder of the images"):
        image_path(tmp_path, name, named_by="file.json")


def test_an_escaping_name_in_a_file_is_refused_when_it_is_read(tmp_path: Path, root: Path) -> None:
    content = files.document()
    Image.new("RGB", (files.WIDTH, files.HEIGHT)).save(tmp_path / "outside.png")
    content["videos"][1]["file_names"][0] = "../outside.png"
    videos = VideoDataset(load_youtube_vis(files.write(tmp_path, content)), root)
    with pytest.raises(InputError, match=r"names the image '\.\./outside\.png', which is not inside"):
        videos[1]


def test_names_with_either_separator_are_found(root: Path) -> None:
    assert image_path(root, "b\\deep/2.png", named_by="x").is_file()


def test_a_missing_image_is_named_with_a_hint(annotations: VideoAnnotations, root: Path) -> None:
    with pytest.raises(InputError, match=r"b/0\.png' does not exist: it is in '.*JPEGImages'; give that folder"):
        VideoDataset(annotations, root.parent)[0]
    (root / "b" / "1.png").unlink()
    with pytest.raises(InputError, match=r"b/1\.png' does not exist: check the folder of the images"):
        VideoDataset(annotations, root)[0]
    with pytest.raises(InputError, match="'/no/such/folder' does not exist"):
        VideoDataset(annotations, "/no/such/folder")


def test_a_damaged_image_or_one_of_another_size_is_named(annotations: VideoAnnotations, root: Path) -> None:
    (root / "b" / "1.png").write_bytes(b"this is no picture")
    with pytest.raises(InputError, match=r"1\.png' cannot be read"):
        VideoDataset(annotations, root)[0]
    Image.new("RGB", (20, 10)).save(root / "a0.png")
    with pytest.raises(InputError, match=r"a0\.png' is 10x20 but its annotations say 24x37"):
        VideoDataset(annotations, root)[1]


def test_images_of_every_mode_are_read_as_rgb_and_upright(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for mode in ("L", "RGBA", "P"):
        Image.fromarray(grey).convert(mode).save(tmp_path / "image.png")
        np.testing.assert_array_equal(read_frame(tmp_path / "image.png", height=3, width=4)[..., 1], grey)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter to the right
    Image.fromarray(grey).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_frame(tmp_path / "turned.png", height=4, width=3)[..., 0], np.rot90(grey, -1))


def test_crowds_are_never_lost_without_a_word(tmp_path: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = files.document()
    content["annotations"][0]["iscrowd"] = 1
    VideoDataset(load_youtube_vis(files.write(tmp_path, content)), root)
    assert "2 of 4 annotations" in caplog.text
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    with pytest.raises(InputError, match=r"All 4 annotations .* are marked as crowds"):
        VideoDataset(load_youtube_vis(files.write(tmp_path, content)), root)
