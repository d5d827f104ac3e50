"""To "CVAT for video 1.1" and back: every mask within the tolerance, and a table for analysts."""

import csv
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from genvis.cli.main import main
from genvis.data.convert.cvat.from_cvat import CvatOptions, read_cvat
from genvis.data.convert.cvat.interpolation import polygons_between
from genvis.data.convert.cvat.outlines import evenly_spaced, mask_parts, turned_to
from genvis.data.convert.cvat.to_cvat import write_cvat
from genvis.data.convert.tracks import Category, ConvertedDataset, ConvertedTrack, ConvertedVideo
from genvis.errors import InputError
from genvis.files import write_json
from genvis.masks import RLEMask, draw_polygons, encode_mask
from genvis.results.formats.converted import tracks_of_result
from genvis.results.formats.object_table import annotation_rows, write_rows
from tests.data.convert.sample_sets import good_content
from tests.data.convert.sample_sets import write_json as write_annotations
from tests.results.inference_results_helpers import RESULTS, random_result

QUICK = settings(deadline=None, max_examples=25)


def disc(x, y, radius, *, height=60, width=90, hole=0.0):
    rows, columns = np.mgrid[:height, :width] + 0.5
    distance = np.hypot(rows - y, columns - x)
    return (distance < radius) & (distance >= hole)


def one_video(masks, **fields):
    """A video of one object, whose masks are given for each frame."""
    encoded = {frame: mask for frame, dense in enumerate(masks) if (mask := encode_mask(dense)) is not None}
    height, width = masks[0].shape
    names = tuple(f"reef/{frame:06d}.jpg" for frame in range(len(masks)))
    video = ConvertedVideo("reef", height, width, names, (ConvertedTrack(5, 2, encoded),), **fields)
    return ConvertedDataset((Category(1, "fish"), Category(2, 'sea "urchin" <1>')), (video,))


def back(path, **options):
    return read_cvat(path, CvatOptions(identity="group", **options)).videos[0]


def worst_iou(before, after):
    """Return the lowest IoU of a mask over all objects; frames without a mask must be the same."""
    lowest = 1.0
    assert len(before.tracks) == len(after.tracks)
    place = {number: index for index, number in enumerate(range(before.numbers[0], before.numbers[-1] + 1))}
    step = 1 if len(after.file_names) == len(place) else before.numbers[1] - before.numbers[0]
    for old, new in zip(before.tracks, after.tracks, strict=True):
        for position, number in enumerate(before.numbers):
            first, second = old.masks.get(position), new.masks.get(place[number] // step)
            assert (first is None) == (second is None), (position, number)
            if first is not None and second is not None:
                a, b = first.decode(), second.decode()
                lowest = min(lowest, (a & b).sum() / (a | b).sum())
    return lowest


@QUICK
@given(result=RESULTS, tolerance=st.sampled_from([0.8, 0.98, 1.0]))
def test_results_come_back_within_the_tolerance(result, tolerance, tmp_path_factory):
    dataset = tracks_of_result(result)
    path = tmp_path_factory.mktemp("cvat") / "out.xml"
    write_cvat(dataset, path, tolerance=tolerance)
    after = back(path)
    assert worst_iou(dataset.videos[0], after) >= tolerance
    assert [track.id for track in after.tracks] == [track.id for track in dataset.videos[0].tracks]


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10**6), smooth=st.floats(0, 3), share=st.floats(0.05, 0.9))
@example(seed=0, smooth=0.0, share=0.5)
def test_ragged_masks_with_holes_and_parts_come_back(seed, smooth, share, tmp_path_factory):
    random = np.random.default_rng(seed)
    masks = []
    for _ in range(3):
        blurred = ndimage.gaussian_filter(random.random((12, 18)), smooth)
        masks.append(blurred > np.quantile(blurred, share))
    path = tmp_path_factory.mktemp("cvat") / "out.xml"
    dataset = one_video(masks)
    for tolerance in (0.98, 1.0):
        write_cvat(dataset, path, tolerance=tolerance)
        assert worst_iou(dataset.videos[0], back(path)) >= tolerance


def test_a_ring_keeps_its_hole(tmp_path):
    dataset = one_video([disc(40 + frame, 30, 20, hole=12) for frame in range(3)])
    write_cvat(dataset, tmp_path / "a.xml")
    assert worst_iou(dataset.videos[0], back(tmp_path / "a.xml")) >= 0.98


def shapes(path):
    return [
        [(int(shape.get("frame")), int(shape.get("outside"))) for shape in track]
        for track in ElementTree.parse(path).iter("track")
    ]


def test_keyframes_are_thinned_where_the_object_moves_evenly(tmp_path):
    masks = [disc(20 + 1.5 * frame, 30, 15) for frame in range(30)]
    dataset = one_video(masks)
    write_cvat(dataset, tmp_path / "a.xml", tolerance=0.9)
    (frames,) = shapes(tmp_path / "a.xml")
    assert len(frames) < 8
    assert worst_iou(dataset.videos[0], back(tmp_path / "a.xml")) >= 0.9
    write_cvat(dataset, tmp_path / "b.xml", tolerance=1)
    assert len(shapes(tmp_path / "b.xml")[0]) == 30
    assert worst_iou(dataset.videos[0], back(tmp_path / "b.xml")) == 1


def test_an_object_that_stands_still_has_its_ends_as_keyframes(tmp_path):
    masks = [disc(40, 30, 15)] * 20 + [np.zeros((60, 90), bool)] * 3 + [disc(60, 30, 15)] * 2
    write_cvat(one_video(masks), tmp_path / "a.xml")
    assert shapes(tmp_path / "a.xml") == [[(0, 0), (19, 0), (20, 1), (23, 0), (24, 0)]]


def test_parts_are_tracks_of_one_group(tmp_path):
    masks = [disc(20, 30, 10) | disc(60 + frame, 30, 12) for frame in range(3)]
    masks.append(disc(20, 30, 10))
    remarks = write_cvat(one_video(masks), tmp_path / "a.xml")
    tracks = list(ElementTree.parse(tmp_path / "a.xml").iter("track"))
    assert [(track.get("id"), track.get("group_id"), track.get("label")) for track in tracks] == [
        ("0", "5", 'sea "urchin" <1>'),
        ("1", "5", 'sea "urchin" <1>'),
    ]
    assert shapes(tmp_path / "a.xml")[0][-1] == (3, 1)
    assert remarks == (
        "Objects of several parts, which are tracks of one group (from-cvat needs --identity group): 1.",
    )


def test_specks_are_left_out_within_the_tolerance(tmp_path):
    mask = disc(40, 30, 20)
    mask[30, 40] = False
    mask[2, 2] = True
    dataset = one_video([mask])
    write_cvat(dataset, tmp_path / "a.xml")
    assert len(shapes(tmp_path / "a.xml")) == 1
    write_cvat(dataset, tmp_path / "b.xml", tolerance=1)
    assert len(shapes(tmp_path / "b.xml")) == 2
    assert worst_iou(dataset.videos[0], back(tmp_path / "b.xml")) == 1


def test_frames_are_those_of_the_source_video(tmp_path):
    masks = [disc(30 + 2 * frame, 30, 10) for frame in range(4)]
    write_cvat(one_video(masks, frame_numbers=(6, 9, 12, 15)), tmp_path / "a.xml")
    task = ElementTree.parse(tmp_path / "a.xml").find("meta/task")
    fields = ("size", "start_frame", "stop_frame", "frame_filter")
    assert [task.findtext(name) for name in fields] == ["4", "6", "15", "step=3"]
    assert [label.findtext("name") for label in task.iter("label")] == ["fish", 'sea "urchin" <1>']
    assert sorted(back(tmp_path / "a.xml").tracks[0].masks) == [0, 1, 2, 3]


def test_names_that_xml_cannot_hold(tmp_path):
    dataset = one_video([disc(40, 30, 10)])
    dataset = ConvertedDataset((Category(2, "a\x00b\ud800"),), dataset.videos)
    write_cvat(dataset, tmp_path / "a.xml")
    assert read_cvat(tmp_path / "a.xml", CvatOptions()).categories[0].name == "a\ufffdb\ufffd"


def test_wrong_options_are_named(tmp_path):
    dataset = one_video([disc(40, 30, 10)])
    for tolerance in (0, 1.01, float("nan")):
        with pytest.raises(InputError, match="it is an IoU"):
            write_cvat(dataset, tmp_path / "a.xml", tolerance=tolerance)
    several = ConvertedDataset(dataset.categories, dataset.videos * 2)
    with pytest.raises(InputError, match="one file, but there are 2 videos"):
        write_cvat(several, tmp_path / "a.xml")


@QUICK
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
def test_outlines_cover_the_very_pixels(seed, share):
    mask = np.random.default_rng(seed).random((12, 15)) < share
    parts = mask_parts(mask)
    assert sum(part.area for part in parts) == mask.sum()
    for part in parts:
        assert draw_polygons([part.polygon()], height=12, width=15) == part.mask


def test_polygons_turn_to_one_another():
    outline = mask_parts(disc(40, 30, 20) & (np.mgrid[:60, :90][1] < 50))[0].outline
    polygon = evenly_spaced(outline, 64)
    moved = polygon + np.array([3.0, -2.0])
    assert np.allclose(turned_to(np.roll(moved, 21, axis=0), polygon), moved)


@pytest.mark.parametrize("kind", ["folder", "result.json", "annotations"])
def test_the_commands_take_results_and_annotations(tmp_path, kind, capsys):
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "result.json", random_result(3, first_id=7).to_json())
    source = {"folder": tmp_path / "run", "result.json": tmp_path / "run" / "result.json"}.get(kind)
    if source is None:
        source = write_annotations(tmp_path / "annotations.json", good_content())
    assert main(["data", "convert", "to-cvat", str(source), str(tmp_path / "out")]) == 0
    assert main(["data", "convert", "to-csv", str(source), str(tmp_path / "out.csv")]) == 0
    capsys.readouterr()
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == (["one.xml", "two.xml"] if kind == "annotations" else ["made_up_ü.xml"])
    assert main(["data", "convert", "to-cvat", str(source), str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_annotations_are_a_table_too(tmp_path):
    masks = [disc(30, 20, 10), np.zeros((60, 90), bool), disc(30.5, 20, 10)]
    write_rows(annotation_rows(one_video(masks, frame_numbers=(0, 5, 10))), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["time"], row["track_id"], row["label"], row["score"]) for row in rows] == [
        ("0", "nan", "5", 'sea "urchin" <1>', "nan"),
        ("10", "nan", "5", 'sea "urchin" <1>', "nan"),
    ]
    left, top, width, height = RLEMask.encode(masks[0]).box
    box = [int(rows[0][name]) for name in ("left", "top", "right", "bottom")]
    assert (box, int(rows[0]["area"])) == ([left, top, left + width, top + height], masks[0].sum())
    assert (float(rows[0]["centroid_x"]), float(rows[0]["centroid_y"])) == pytest.approx((30, 20), abs=0.05)


def test_polygons_move_as_in_cvat():
    square = np.array([[0.0, 0], [8, 0], [8, 8], [0, 8]])
    (half,) = polygons_between(square, square + np.array([4.0, 2.0]), [0.5])
    assert np.allclose(half, square + np.array([2.0, 1.0]))
    with_a_corner_more = np.array([[20.0, 0], [24, 0], [28, 0], [28, 8], [20, 8]])
    (half,) = polygons_between(square, with_a_corner_more, [0.5])
    assert np.allclose(half, [[10, 0], [12, 0], [18, 0], [18, 8], [10, 8]])
    # Corners on their way to one place become one where they are closer than half their mean distance.
    crowded = np.array([[0.0, 0], [8, 0], [8, 0.1], [8, 0.2], [8, 8], [0, 8]])
    early, late = polygons_between(crowded, square, [0.1, 0.9])
    assert (len(early), len(late)) == (6, 4)


def test_polygons_that_shrink_to_a_point_cover_nothing():
    point = np.full((3, 2), 5.0)
    (moved,) = polygons_between(point, point, [0.5])
    assert draw_polygons([moved], height=9, width=9) is None
    assert draw_polygons([np.array([[1.0, 1], [5, 5]])], height=9, width=9) is None


def test_cvat_s_own_data_set_library_reads_the_same(tmp_path):
    """datumaro reads keyframes, groups and `outside`; it needs an older pandas, so that it runs where it is alone."""
    datumaro = pytest.importorskip("datumaro")
    masks = [disc(20 + 2 * frame, 30, 12, hole=4 * (frame > 4)) & (frame != 3) for frame in range(9)]
    write_cvat(one_video(masks), tmp_path / "swim.xml")
    tracks = ElementTree.parse(tmp_path / "swim.xml").getroot().findall("track")
    written = {
        (int(track.get("id")), int(shape.get("frame")), int(track.get("group_id")), shape.get("outside") == "1")
        for track in tracks
        for shape in track
    }
    read = {
        (note.attributes["track_id"], item.attributes["frame"], note.group, note.attributes["outside"])
        for item in datumaro.Dataset.import_from(str(tmp_path / "swim.xml"), "cvat")
        for note in item.annotations
    }
    assert read == written
