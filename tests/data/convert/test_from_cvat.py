import os
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.check import check_annotations
from genvis.data.convert.cvat.from_cvat import CvatOptions, read_cvat
from genvis.data.convert.tracks import safe_name
from genvis.errors import InputError
from tests.data.convert.sample_sets import rectangle

HEIGHT, WIDTH = 48, 64
META = """
  <version>1.1</version>
  <meta>
    <task>
      <id>5</id> <name>my task</name> <size>{size}</size> <mode>interpolation</mode>
      <start_frame>{start}</start_frame> <frame_filter>{frame_filter}</frame_filter>
      <labels>
        <label><name>car</name><attributes/></label>
        <label><name>person</name><attributes><attribute><name>who</name></attribute></attributes></label>
        <label><name>elbow</name><parent>person</parent></label>
      </labels>
      <original_size><width>64</width><height>48</height></original_size>
      <source>street.mp4</source>
    </task>
  </meta>
"""


def write_cvat(folder, tracks, *, size=6, start=0, frame_filter="", head=""):
    meta = META.format(size=size, start=start, frame_filter=frame_filter)
    path = folder / "annotations.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n{head}<annotations>{meta}{tracks}</annotations>\n', "utf-8"
    )
    return path


def polygon(frame, corners, *, outside=0, keyframe=1, inner="", depth=0):
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)
    return (
        f'<polygon frame="{frame}" keyframe="{keyframe}" outside="{outside}" occluded="0" points="{points}" '
        f'z_order="{depth}">{inner}</polygon>'
    )


def square(left, top, side):
    return [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]


def cvat_mask(frame, mask, *, outside=0, inner=""):
    """Encode as CVAT does: row by row within the box, outside pixels first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    counts, value = [0], False
    for pixel in box.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return (
        f'<mask frame="{frame}" keyframe="1" outside="{outside}" rle="{", ".join(map(str, counts))}" left="{left}" '
        f'top="{top}" width="{box.shape[1]}" height="{box.shape[0]}" z_order="0">{inner}</mask>'
    )


def track(shapes, *, label="car", number=0, extra=""):
    return f'<track id="{number}" label="{label}" source="manual" {extra}>{"".join(shapes)}</track>'


def pixels(dataset, index=0, video=0):
    return {frame: mask.decode() for frame, mask in dataset.videos[video].tracks[index].masks.items()}


def test_shapes_are_taken_as_they_are_and_outside_ends_them(tmp_path):
    shapes = [
        polygon(0, square(10, 10, 8)),
        polygon(1, square(12, 10, 8), keyframe=0),
        polygon(2, square(12, 10, 8), outside=1),
        polygon(4, square(40, 20, 8)),
        polygon(5, square(41, 20, 8), keyframe=0),
    ]
    dataset = read_cvat(write_cvat(tmp_path, track(shapes)), CvatOptions())
    masks = pixels(dataset)
    assert sorted(masks) == [0, 1, 4, 5]
    assert np.array_equal(masks[0], rectangle(10, 10, 8, 8))
    assert np.array_equal(masks[4], rectangle(40, 20, 8, 8))
    assert [(category.id, category.name) for category in dataset.categories] == [(1, "car"), (2, "person")]
    video = dataset.videos[0]
    assert (video.name, video.height, video.width, len(video.file_names)) == ("street", 48, 64, 6)
    assert dataset.remarks == ("Images are named 'street/000000.jpg' and so on; give --images to use real ones.",)


def test_frames_between_keyframes_are_filled_in_and_the_last_one_holds(tmp_path):
    shapes = [polygon(0, square(10, 10, 8)), polygon(3, square(16, 10, 8))]
    dataset = read_cvat(write_cvat(tmp_path, track(shapes)), CvatOptions())
    masks = pixels(dataset)
    lefts = [10, 12, 14, 16, 16, 16]
    assert sorted(masks) == list(range(6))
    for frame, left in enumerate(lefts):
        assert np.array_equal(masks[frame], rectangle(left, 10, 8, 8)), frame
    assert "Masks filled in between or after keyframes, as CVAT does: 4." in dataset.remarks


def test_polygons_with_other_corners_move_along_their_outline(tmp_path):
    with_a_corner_more = [(20, 10), (24, 10), (28, 10), (28, 18), (20, 18)]
    shapes = [polygon(0, square(10, 10, 8)), polygon(2, with_a_corner_more), polygon(3, square(0, 0, 5), outside=1)]
    masks = pixels(read_cvat(write_cvat(tmp_path, track(shapes)), CvatOptions()))
    assert sorted(masks) == [0, 1, 2]
    assert np.array_equal(masks[1], rectangle(15, 10, 8, 8))


def test_masks_are_drawn_exactly_and_never_filled_in(tmp_path):
    rng = np.random.default_rng(3)
    first, second = (rng.random((HEIGHT, WIDTH)) < 0.3 for _ in range(2))
    tracks = track([cvat_mask(1, first), cvat_mask(2, first, outside=1)]) + track([cvat_mask(4, second)], number=1)
    dataset = read_cvat(write_cvat(tmp_path, tracks), CvatOptions())
    assert np.array_equal(pixels(dataset, 0)[1], first)
    assert np.array_equal(pixels(dataset, 1)[4], second)
    assert [sorted(track.masks) for track in dataset.videos[0].tracks] == [[1], [4]]
    assert "All 2 tracks are visible in one frame only" in dataset.remarks[-1]


def test_a_mask_that_hangs_over_the_frame_is_cut(tmp_path):
    mask = '<mask frame="0" outside="0" rle="0, 100" left="-5" top="43" width="10" height="10"/>'
    assert np.array_equal(
        pixels(read_cvat(write_cvat(tmp_path, track([mask])), CvatOptions()))[0], rectangle(0, 43, 5, 5)
    )


@pytest.mark.parametrize("identity", ["group", "who"])
def test_groups_and_attributes_can_tell_objects_apart(tmp_path, identity):
    def part(frame, left, who, number):
        inner = f'<attribute name="who">{who}</attribute>'
        shapes = [cvat_mask(frame, rectangle(left, 5, 4, 4), inner=inner)]
        return track(shapes, label="person", number=number, extra=f'group_id="{ {"Ann": 3, "Bob": 8}[who] }"')

    tracks = part(0, 2, "Ann", 0) + part(0, 30, "Bob", 1) + part(1, 4, "Ann", 2) + part(1, 20, "Ann", 3)
    tracks += track([cvat_mask(5, rectangle(1, 1, 2, 2))], number=4)
    dataset = read_cvat(write_cvat(tmp_path, tracks), CvatOptions(identity=identity))
    ann, bob, alone = (pixels(dataset, index) for index in range(3))
    assert [sorted(masks) for masks in (ann, bob, alone)] == [[0, 1], [0], [5]]
    assert np.array_equal(ann[1], rectangle(4, 5, 4, 4) | rectangle(20, 5, 4, 4))
    assert f"Tracks without '{identity}', which stay objects of their own: 1." in dataset.remarks


def test_what_is_in_front_hides_what_is_behind(tmp_path):
    behind = [polygon(frame, square(10, 10, 10), depth=1) for frame in (0, 1, 2)]
    level = [polygon(0, square(12, 12, 4), depth=1), polygon(1, square(40, 40, 2), depth=1)]
    front = [polygon(0, square(15, 10, 10), depth=2), polygon(1, square(8, 8, 20), depth=-3)]
    front += [polygon(2, square(8, 8, 20), depth=9)]
    tracks = [track(shapes, number=number) for number, shapes in enumerate((behind, level, front))]
    dataset = read_cvat(write_cvat(tmp_path, "".join(tracks), size=3), CvatOptions())
    masks = [pixels(dataset, index) for index in range(3)]
    assert np.array_equal(masks[0][0], rectangle(10, 10, 5, 10))
    assert np.array_equal(masks[1][0], rectangle(12, 12, 3, 4))
    assert np.array_equal(masks[2][0], rectangle(15, 10, 10, 10))
    assert np.array_equal(masks[0][1], rectangle(10, 10, 10, 10))
    assert np.array_equal(masks[2][1], rectangle(8, 8, 20, 20) & ~rectangle(10, 10, 10, 10))
    assert sorted(masks[0]) == [0, 1]
    assert "Masks cut where an object with a higher z-order is in front of them: 4." in dataset.remarks


def test_boxes_are_left_out_unless_asked_for(tmp_path):
    box = '<box frame="{}" outside="0" keyframe="1" xtl="10" ytl="12" xbr="{}" ybr="20"{}/>'
    points = '<points frame="0" outside="0" keyframe="1" points="1,2"/>'
    turned = box.format(5, 18, ' rotation="90"')
    path = write_cvat(tmp_path, track([box.format(0, 18, ""), box.format(2, 26, ""), turned, points]))
    skipped = read_cvat(path, CvatOptions())
    assert skipped.videos[0].tracks == ()
    assert any(remark.startswith("Boxes left out") and remark.endswith(": 3.") for remark in skipped.remarks)
    assert "Shapes of the kind 'points', which covers no area, left out: 1." in skipped.remarks
    drawn = pixels(read_cvat(path, CvatOptions(boxes="rectangle")))
    assert np.array_equal(drawn[1], rectangle(10, 12, 12, 8))
    assert np.array_equal(drawn[5], rectangle(10, 12, 8, 8))


def test_an_ellipse_covers_its_area(tmp_path):
    ellipse = '<ellipse frame="5" outside="0" cx="30" cy="24" rx="15" ry="6" rotation="90"/>'
    mask = pixels(read_cvat(write_cvat(tmp_path, track([ellipse])), CvatOptions()))[5]
    rows, columns = np.nonzero(mask)
    assert abs(mask.sum() - np.pi * 15 * 6) < 12
    assert np.ptp(rows) > 25
    assert np.ptp(columns) < 14


def test_frames_are_counted_as_in_the_video(tmp_path):
    shapes = [polygon(20, square(1, 1, 5)), polygon(25, square(6, 1, 5)), polygon(30, square(9, 1, 5), outside=1)]
    path = write_cvat(tmp_path, track(shapes), size=3, start=20, frame_filter="step=5")
    dataset = read_cvat(path, CvatOptions())
    assert dataset.videos[0].file_names == ("street/000020.jpg", "street/000025.jpg", "street/000030.jpg")
    assert sorted(pixels(dataset)) == [0, 1]


def test_real_image_names_are_found(tmp_path):
    path = write_cvat(tmp_path, track([polygon(0, square(1, 1, 5))]), size=3)
    for folder, names in (
        ("numbers", ["frame_000000", "frame_000002", "frame_000001"]),
        ("order", ["b2", "b10", "b1"]),
    ):
        (tmp_path / folder / "images").mkdir(parents=True)
        for name in names:
            Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / folder / "images" / f"{name}.png")
    numbers = read_cvat(path, CvatOptions(images=tmp_path / "numbers")).videos[0].file_names
    assert numbers == tuple(f"images/frame_00000{number}.png" for number in range(3))
    order = read_cvat(path, CvatOptions(images=tmp_path / "order")).videos[0].file_names
    assert order == ("images/b1.png", "images/b2.png", "images/b10.png")
    (tmp_path / "order/images/b10.png").unlink()
    with pytest.raises(InputError, match=r"3 frames, from 0 to 2, but .* holds 2 images"):
        read_cvat(path, CvatOptions(images=tmp_path / "order"))
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(tmp_path / "order/images/b1.png")
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(tmp_path / "order/images/b10.png")
    with pytest.raises(InputError, match=r"annotated at 64x48, but its images are 65x48"):
        read_cvat(path, CvatOptions(images=tmp_path / "order"))


@pytest.fixture
def street(tmp_path):
    """A video of 8 frames, each of its own grey."""
    path = tmp_path / "street.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for grey in range(0, 240, 30):
            image = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_from_an_export_and_its_video_to_a_data_set(tmp_path, street, capsys):
    shapes = [polygon(2, square(10, 10, 8)), polygon(6, square(18, 10, 8))]
    annotations = write_cvat(tmp_path, track(shapes), size=3, start=2, frame_filter="step=2")
    export = tmp_path / "export.zip"
    with zipfile.ZipFile(export, "w") as archive:
        archive.write(annotations, "annotations.xml")
    images, output = tmp_path / "images", tmp_path / "out" / "street.json"
    command = [
        "data",
        "convert",
        "from-cvat",
        str(export),
        str(output),
        "--images",
        str(images),
        "--video",
        str(street),
    ]
    assert main(command) == 0
    assert "1 video, 3 frames, 1 object, 3 masks" in capsys.readouterr().out
    assert check_annotations(output, images, decode_images=True).passed
    loaded = load_youtube_vis(output)
    assert loaded.video(0).file_names == ("street/000002.jpg", "street/000004.jpg", "street/000006.jpg")
    assert np.array_equal(loaded.masks(0)[0, 1], rectangle(14, 10, 8, 8))
    greys = [np.asarray(Image.open(images / name)).mean() for name in loaded.video(0).file_names]
    assert np.allclose(greys, [60, 120, 180], atol=4)
    # Again: the frames that are there are kept.
    stamp = (images / "street/000002.jpg").stat().st_mtime_ns
    assert main([*command, "--overwrite"]) == 0
    assert (images / "street/000002.jpg").stat().st_mtime_ns == stamp


def test_a_video_that_is_too_short_leaves_nothing_behind(tmp_path, street):
    path = write_cvat(tmp_path, track([polygon(0, square(1, 1, 5))]), size=20)
    with pytest.raises(InputError, match=r"ends after 8 of the 20 frames"):
        read_cvat(path, CvatOptions(images=tmp_path / "images", videos=(street,)))
    assert list((tmp_path / "images").iterdir()) == []
    with pytest.raises(InputError, match=r"name it with --images"):
        read_cvat(path, CvatOptions(videos=(street,)))


def project_task(number, *, name="t", size=3, start=0, step=1, subset=""):
    frame_filter = f"<frame_filter>step={step}</frame_filter>" if step > 1 else "<frame_filter/>"
    subset = f"<subset>{subset}</subset>" if subset else ""
    stop = start + step * (size - 1)
    frames = f"<size>{size}</size><start_frame>{start}</start_frame><stop_frame>{stop}</stop_frame>"
    original = "<original_size><width>64</width><height>48</height></original_size>"
    return f"<task><id>{number}</id><name>{name}</name>{subset}{frames}{frame_filter}{original}</task>"


def write_project(folder, tasks, tracks, *, subsets=()):
    labels = "<labels><label><name>car</name></label></labels>"
    names = "".join(f"<subsets>{name}</subsets>" for name in subsets)
    meta = f"<meta><project><id>1</id><tasks>{''.join(tasks)}</tasks>{names}{labels}</project></meta>"
    path = folder / "annotations.xml"
    path.write_text(f"<annotations>{meta}{tracks}</annotations>", "utf-8")
    return path


def frames_of(dataset):
    """Return the frames with masks of every track, video by video."""
    return [[sorted(track.masks) for track in video.tracks] for video in dataset.videos]


def of_task(task, frames, *, end=None, subset="", number=None):
    shapes = [polygon(frame, square(1, 1, 5)) for frame in frames]
    shapes += [] if end is None else [polygon(end, square(1, 1, 5), outside=1)]
    extra = f'task_id="{task}"' + (f' subset="{subset}"' if subset else "")
    return track(shapes, number=task if number is None else number, extra=extra)


def test_the_tasks_of_a_project_count_on(tmp_path):
    """What comes before a task of a subset is start_frame + step * size of the tasks before it (CVAT #4502)."""
    tasks = [
        project_task(1, size=4, start=10, step=2, subset="Train"),
        project_task(2, size=3, subset="Validation"),
        project_task(3, size=5, start=1, subset="Train"),
        project_task(4, size=3, subset="Train"),
    ]
    # Train: task 1 is 10, 12, 14, 16; task 3 begins at 10 + 2 * 4 + 1 = 19; task 4 at 18 + 1 + 5 = 24.
    tracks = [of_task(1, [10, 12], end=14), of_task(2, [1], end=2), of_task(3, [19, 23]), of_task(4, [24], end=25)]
    dataset = read_cvat(write_project(tmp_path, tasks, "".join(tracks), subsets=["Train", "Validation"]), CvatOptions())
    assert frames_of(dataset) == [[[0, 1]], [[1]], [[0, 1, 2, 3, 4]], [[0]]]
    assert dataset.videos[0].file_names[1] == "t/000012.jpg"
    assert dataset.videos[2].file_names[0] == "t_3/000001.jpg"


def test_the_end_that_a_project_does_not_mark_is_known(tmp_path):
    """CVAT compares the frame that was counted on with the last frame that was not, and leaves out the mark."""
    tasks = [project_task(1, size=4), project_task(2, size=9), project_task(3, size=4)]
    # Task 2 stops at 8: the mark of frame 6 would be at 7, that of 7 at 8, which is left out. Task 3 is 13 to 16.
    tracks = [of_task(2, [6], end=7), of_task(2, [7], number=8), of_task(3, [13]), of_task(3, [16], number=9)]
    dataset = read_cvat(write_project(tmp_path, tasks, "".join(tracks)), CvatOptions())
    assert frames_of(dataset) == [[], [[2], [3]], [[0], [3]]]


def test_a_project_that_does_not_count_on_is_read_as_it_is(tmp_path):
    tasks = [project_task(1, size=2), project_task(2, size=5)]
    tracks = of_task(1, [0, 1]) + of_task(2, [0, 3], end=4)
    dataset = read_cvat(write_project(tmp_path, tasks, tracks), CvatOptions())
    assert frames_of(dataset) == [[[0, 1]], [[0, 1, 2, 3]]]


def test_tracks_of_tasks_that_are_not_described_are_noted(tmp_path):
    path = write_project(tmp_path, [project_task(1), project_task(2)], of_task(8, [0]) + of_task(1, [0], end=1))
    dataset = read_cvat(path, CvatOptions())
    assert frames_of(dataset) == [[[0]], []]
    assert "Tracks of tasks that the file does not describe, left out: 1." in dataset.remarks


def test_images_of_a_project_lie_together_and_count_on(tmp_path):
    tasks = [project_task(1, size=2, subset="Train"), project_task(2, size=3, subset="Train")]
    path = write_project(tmp_path, tasks, of_task(2, [2], end=3))
    folder = tmp_path / "images" / "Train"
    folder.mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"frame_{number:06d}.png")
    names = [f"images/Train/frame_{number:06d}.png" for number in range(5)]
    for root, above in ((tmp_path, ""), (tmp_path / "images", "images/")):
        videos = read_cvat(path, CvatOptions(images=root)).videos
        assert [above + name for video in videos for name in video.file_names] == names
    (folder / "frame_000003.png").unlink()
    with pytest.raises(InputError, match=r"numbers 2 to 4 of subset 'Train', but .* has no image 3"):
        read_cvat(path, CvatOptions(images=tmp_path))
    # Folders of the tasks' own count from the first frame of their video.
    for name, size in (("t", 2), ("t_2", 9)):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(size):
            Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "own" / name / f"{number:06d}.png")
    videos = read_cvat(path, CvatOptions(images=tmp_path / "own")).videos
    assert videos[1].file_names == tuple(f"t_2/{number:06d}.png" for number in range(3))


@pytest.mark.parametrize("subset", ["../../secret", "..", "/etc", "C:\\x"])
def test_subsets_never_lead_out_of_the_image_folder(tmp_path, subset):
    (tmp_path / "secret").mkdir()
    for number in range(6):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "secret" / f"{number}.png")
    (tmp_path / "root").mkdir()
    path = write_project(tmp_path, [project_task(1, subset=subset), project_task(2, subset=subset)], "")
    with pytest.raises(InputError, match="no images of the video"):
        read_cvat(path, CvatOptions(images=tmp_path / "root"))


def test_a_project_is_a_video_for_each_task(tmp_path):
    path = write_project(tmp_path, [project_task(7, name="../../etc"), project_task(9, name="../../etc")], "")
    dataset = read_cvat(path, CvatOptions())
    assert [video.name for video in dataset.videos] == ["etc", "etc_2"]
    with pytest.raises(InputError, match=r"but the videos are .street.mp4.: give --video once for each task"):
        read_cvat(path, CvatOptions(images=tmp_path, videos=(tmp_path / "street.mp4",)))


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
REMOTE = '<!DOCTYPE b SYSTEM "http://example.com/b.dtd">'


@pytest.mark.parametrize("head", [BOMB, REMOTE, "<!-- before -->" + REMOTE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_and_entities_are_refused(tmp_path, head, encoding):
    path = write_cvat(tmp_path, track([polygon(0, square(1, 1, 5))]), head=head)
    text = path.read_text().replace("utf-8", encoding)
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=r"document type or entities"):
        read_cvat(path, CvatOptions())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><meta>", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<html/>", "starts with <html>"),
        ("<annotations/>", "describes no task"),
        ('<annotations><image id="0" name="a.jpg"/></annotations>', "'CVAT for images', which keeps no tracks"),
        ("<annotations><meta><task><id>1</id><size>9999999</size></task></meta></annotations>", "more than 1,000,000"),
        ("<annotations><meta><task><id>1</id><size>many</size></task></meta></annotations>", "'size' is 'many'"),
    ],
)
def test_other_files_are_named(tmp_path, text, message):
    path = tmp_path / "file.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_cvat(path, CvatOptions())


def test_a_damaged_zip_file_is_named(tmp_path):
    path = write_cvat(tmp_path, track([polygon(0, square(1, 1, 5))]))
    export = tmp_path / "export.zip"
    with zipfile.ZipFile(export, "w") as archive:
        archive.write(path, "other.xml")
    with pytest.raises(InputError, match=r"holds 0 files 'annotations.xml'"):
        read_cvat(export, CvatOptions())
    with zipfile.ZipFile(export, "w") as archive:
        archive.write(path, "annotations.xml")
    content = export.read_bytes()
    export.write_bytes(content.replace(b"<labels>", b"<LABELS>"))
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_cvat(export, CvatOptions())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon frame="0" points="1,2;3,4"/>', "three pairs"),
        ('<polygon frame="0" points="1,2;3,x;4,5"/>', "not a list of x,y"),
        ('<polygon frame="-1" points="1,2;3,4;5,6"/>', "'frame' is '-1'"),
        ('<mask frame="0" rle="3, 4" left="0" top="0" width="2" height="2"/>', "covers 7 pixels instead of 2x2"),
        ('<mask frame="0" rle="3" left="0" top="0" width="2"/>', "its height is '' instead of a whole number"),
        ('<mask frame="0" rle="0, 1" left="0" top="0" width="99999" height="99999"/>', "no possible size"),
        ('<ellipse frame="0" cx="3"/>', "without cx, cy, rx, ry"),
    ],
)
def test_damaged_shapes_are_named(tmp_path, shape, message):
    with pytest.raises(InputError, match=message):
        read_cvat(write_cvat(tmp_path, track([shape])), CvatOptions())


@pytest.mark.parametrize("text", ["../../etc/passwd", "/abs", "..", "a\\b", ".hidden", "", "con tent", "日本", "a\0b"])
def test_names_never_become_paths(text):
    name = safe_name(text)
    assert name
    assert not name.startswith(".")
    assert not set(name) & set("/\\:\0")


CASES = Path(__file__).parents[1] / "cases"


def test_case_project_offset():
    images = CASES / "cvat_project_offset"
    dataset = read_cvat(images / "longer_second.xml", CvatOptions(images=images))
    assert frames_of(dataset) == [[[0, 1]], [[0, 1]]]
    names = [f"images/default/frame_{number:06d}.png" for number in range(8)]
    assert [name for video in dataset.videos for name in video.file_names] == names
    assert np.array_equal(pixels(dataset, video=1)[1], rectangle(21, 4, 8, 8))


def test_case_job_size():
    dataset = read_cvat(CASES / "cvat_job_size/annotations.xml", CvatOptions())
    assert (dataset.videos[0].height, dataset.videos[0].width) == (48, 64)
    assert frames_of(dataset) == [[[0, 1]]]
    assert np.array_equal(pixels(dataset)[1], rectangle(5, 4, 8, 8))


def test_case_label_blanks():
    dataset = read_cvat(CASES / "cvat_label_blanks/annotations.xml", CvatOptions())
    assert [category.name for category in dataset.categories] == ["crab", "sea urchin", "海胆 & <Co>"]
    assert [track.category_id for track in dataset.videos[0].tracks] == [2, 3]


@pytest.mark.parametrize("name", ["sea\nurchin", "sea  urchin\t", "\u00a0sea urchin"])
def test_blanks_of_any_kind_do_not_make_another_label(tmp_path, name):
    text = write_cvat(tmp_path, track([polygon(5, square(1, 1, 5))], label="sea urchin")).read_text()
    (tmp_path / "b.xml").write_text(text.replace("<name>person</name>", f"<name>{name}</name>"), "utf-8")
    dataset = read_cvat(tmp_path / "b.xml", CvatOptions())
    assert [category.name for category in dataset.categories] == ["car", "sea urchin"]


def test_the_size_may_stand_in_the_project(tmp_path):
    size = "<original_size><width>64</width><height>48</height></original_size>"
    path = write_project(tmp_path, [project_task(1)], of_task(1, [0], end=1))
    path.write_text(path.read_text().replace(size, "").replace("</labels>", "</labels>" + size))
    assert read_cvat(path, CvatOptions()).videos[0].width == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<size>6</size>", "<size>" + "9" * 5000 + "</size>"), "instead of a whole number"),
        (("<frame_filter></frame_filter>", f"<frame_filter>step={'1' * 5000}</frame_filter>"), "'step' is '111"),
        (("<width>64</width>", "<width>4294967296</width>"), "'width' is '4294967296'"),
        (("<width>64</width>", "<width>70000</width>"), "no possible size"),
        (('frame="0"', f'frame="{"7" * 5000}"'), "'frame' is '777"),
        (("10.00,10.00", "1e999,10"), "not finite"),
        (("10.00,10.00", "nan,10"), "not finite"),
        (("10.00,10.00", "1e9,10"), "beyond any image"),
        (("utf-8", "utf-7"), "not well-formed XML"),
        (("utf-8", "no-such-encoding"), "not well-formed XML"),
        (("my task", "\x00"), "not well-formed XML"),
        (("<meta>", "<meta>" + "<a>" * 100 + "</a>" * 100), "nested too deeply"),
    ],
)
def test_hostile_values_are_one_sentence(tmp_path, change, message):
    path = write_cvat(tmp_path, track([polygon(0, square(10, 10, 8))]))
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change), "utf-8")
    with pytest.raises(InputError, match=message):
        read_cvat(path, CvatOptions())


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "koi8-r"])
def test_other_encodings_are_read_as_declared_and_wrong_ones_refused(tmp_path, encoding):
    label = {"latin-1": "Müll", "utf-16": "海胆", "koi8-r": "рыба"}[encoding]
    text = write_cvat(tmp_path, track([polygon(5, square(1, 1, 5))], label=label)).read_text("utf-8")
    (tmp_path / "b.xml").write_bytes(text.replace("utf-8", encoding).encode(encoding))
    assert read_cvat(tmp_path / "b.xml", CvatOptions()).categories[-1].name == label
    (tmp_path / "c.xml").write_bytes(text.encode(encoding))
    if encoding != "utf-16":  # its mark at the beginning says what it is
        with pytest.raises(InputError, match="not well-formed XML"):
            read_cvat(tmp_path / "c.xml", CvatOptions())


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    export = tmp_path / "bomb.zip"
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("annotations.xml", "w") as file:
        file.write(b"<annotations>")
        for _ in range(100):
            file.write(b" " * (1 << 20))
    assert export.stat().st_size < 200_000
    with pytest.raises(InputError, match="only a zip bomb does"):
        read_cvat(export, CvatOptions())


def test_elements_that_mean_nothing_are_not_kept(tmp_path):
    tracemalloc = pytest.importorskip("tracemalloc")
    path = write_cvat(tmp_path, "<x/>" * 200_000 + track([polygon(5, square(1, 1, 5))]))
    tracemalloc.start()
    read_cvat(path, CvatOptions())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_pipes_are_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.xml")
    assert main(["data", "convert", "from-cvat", str(tmp_path / "pipe.xml"), str(tmp_path / "o.json")]) == 2
    assert "is a pipe or a device, and not a file" in capsys.readouterr().err


def test_a_polygon_that_holds_is_drawn_once(tmp_path, monkeypatch):
    path = write_cvat(tmp_path, track([polygon(0, square(10, 10, 8))]), size=100_000)
    track_masks = read_cvat(path, CvatOptions()).videos[0].tracks[0].masks
    assert len(track_masks) == 100_000
    assert track_masks[0] is track_masks[99_999]
    monkeypatch.setattr("genvis.data.convert.cvat.from_cvat.MOST_MASKS", 1000)
    with pytest.raises(InputError, match="more than 1,000 masks"):
        read_cvat(path, CvatOptions())


def test_several_exports_become_one_data_set(tmp_path, street, capsys):
    """Tasks of two exports, each with its own video, and with labels of which one is in both."""
    for number, label in ((1, "car"), (2, "bird")):
        (tmp_path / str(number)).mkdir()
        path = write_cvat(tmp_path / str(number), track([polygon(0, square(number, 1, 5))], label=label), size=3)
        path.write_text(path.read_text().replace("street.mp4", f"street{number}.mp4"))
        (tmp_path / f"street{number}.mp4").write_bytes(street.read_bytes())
    exports = [str(tmp_path / number / "annotations.xml") for number in "12"]
    words = ["data", "convert", "from-cvat", *exports, str(tmp_path / "all.json"), "--images", str(tmp_path / "images")]
    videos = [word for number in "21" for word in ("--video", str(tmp_path / f"street{number}.mp4"))]
    assert main([*words, *videos]) == 0
    merged = load_youtube_vis(tmp_path / "all.json")
    assert [merged.video(index).file_names[0] for index in range(2)] == ["street1/000000.jpg", "street2/000000.jpg"]
    assert merged.categories.names == ("car", "person", "bird")
    for index in range(2):
        assert np.array_equal(merged.masks(index)[0, 0], rectangle(index + 1, 1, 5, 5))
    assert check_annotations(tmp_path / "all.json", tmp_path / "images").passed


def test_exports_of_the_same_source_keep_their_frames_apart(tmp_path, street):
    paths = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        paths.append(write_cvat(tmp_path / str(number), track([polygon(0, square(1, 1, 5))]), size=3))
    dataset = read_cvat(paths, CvatOptions(images=tmp_path / "images", videos=(street,)))
    assert [video.name for video in dataset.videos] == ["street", "street_2"]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["street", "street_2"]


def test_videos_without_a_task_are_refused_by_name(tmp_path, street):
    paths = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        paths.append(write_cvat(tmp_path / str(number), track([polygon(0, square(1, 1, 5))]), size=3))
    other = tmp_path / "beach.mp4"
    other.write_bytes(street.read_bytes())
    with pytest.raises(InputError, match=r"made from 'street.mp4', 'street.mp4', but the videos are 'street.mp4', 'be"):
        read_cvat(paths, CvatOptions(images=tmp_path / "images", videos=(street, other)))


def test_one_file_alone_is_refused(tmp_path, capsys):
    assert main(["data", "convert", "from-cvat", str(tmp_path / "a.zip")]) == 2
    assert "the file to write" in capsys.readouterr().err
