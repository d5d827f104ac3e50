import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genvis.cli.main import main
from genvis.data.check import Severity, check_annotations
from genvis.data.check.example_frames import draw_contact_sheet
from genvis.errors import InputError
from tests.data.convert.sample_sets import (
    HEIGHT,
    WIDTH,
    annotation,
    break_everything,
    compressed,
    good_content,
    rectangle,
    write_images,
    write_json,
)


def counts_of(result):
    return {finding.kind.name: finding.count for finding in result.findings.sorted()}


@pytest.fixture
def good(tmp_path):
    write_images(tmp_path / "images", good_content())
    return write_json(tmp_path / "annotations.json", good_content())


def test_a_good_file_passes(good):
    result = check_annotations(good, good.parent / "images", decode_images=True)
    assert result.passed
    assert counts_of(result) == {}
    assert (result.summary.videos, result.summary.frames, result.summary.tracks, result.summary.masks) == (2, 7, 3, 9)
    assert result.summary.tracks_of_category == [("kite", 2), ("ball", 1)]


def test_everything_wrong_is_found_and_counted(tmp_path):
    path, expected = break_everything(tmp_path)
    assert counts_of(check_annotations(path, tmp_path / "images")) == expected


def test_the_command_names_every_fault_and_fails(tmp_path, capsys, monkeypatch):
    path, expected = break_everything(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    sheet = tmp_path / "sheet.png"
    command = ["data", "check", str(path), "--images", str(tmp_path / "images"), "--contact_sheet", str(sheet)]
    assert main([*command, "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert main(command) == 1
    assert {finding["kind"]: finding["count"] for finding in findings} == expected
    printed = " ".join(capsys.readouterr().out.split())
    for finding in findings:
        assert finding["sentence"][1:] in printed
        for example in finding["examples"]:
            assert " ".join(example.split()) in printed
    assert "height and width swapped" in printed
    assert Image.open(sheet).size[0] > 1000


def test_the_command_succeeds_on_a_good_file(good, tmp_path, capsys):
    sheet = tmp_path / "out" / "sheet.png"
    command = ["data", "check", str(good), "--images", str(good.parent / "images"), "--contact_sheet", str(sheet)]
    assert main(command) == 0
    assert "No errors." in capsys.readouterr().out
    assert sheet.is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "holds a list, as files of results do"),
        ("3", "instead of an object with 'videos'"),
        ('{"licenses": []}', "it has 'licenses'"),
    ],
)
def test_unusable_input_is_one_sentence(tmp_path, text, message, capsys):
    path = tmp_path / "file.json"
    path.write_text(text)
    assert main(["data", "check", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_file_or_folder_is_named(good, capsys):
    assert main(["data", "check", "no/such.json"]) == 2
    assert "There is no file 'no/such.json'" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"There is no folder 'nowhere'"):
        check_annotations(good, Path("nowhere"))


def test_a_test_file_without_annotations_passes_with_a_note(tmp_path):
    content = good_content() | {"annotations": None}
    result = check_annotations(write_json(tmp_path / "valid.json", content))
    assert result.passed
    assert counts_of(result) == {"no-annotations": 1}


def test_an_annotation_may_have_no_id(tmp_path):
    content = good_content()
    del content["annotations"][1]["id"]
    result = check_annotations(write_json(tmp_path / "a.json", content))
    assert result.passed
    assert counts_of(result) == {"no-annotation-id": 1}


@pytest.mark.parametrize(
    ("root", "hint"),
    [("", "images': give that folder with --images"), ("images/one", "from"), ("images/deep", "")],
)
def test_the_right_folder_is_named(good, root, hint):
    (good.parent / "images" / "deep").mkdir()
    result = check_annotations(good, good.parent / root)
    finding = result.findings.get("missing-image")
    assert finding.count == 7
    assert hint in finding.examples[0]
    assert "there" not in finding.examples[1]


def test_names_may_start_from_a_folder_above(good):
    content = good_content()
    for entry in content["videos"]:
        entry["file_names"] = [f"train/JPEGImages/{name}" for name in entry["file_names"]]
    result = check_annotations(write_json(good, content), good.parent / "images")
    assert "but there is 'one/00000.jpg'" in result.findings.get("missing-image").examples[0]


def test_damage_within_an_image_is_found_by_decoding(good):
    image = good.parent / "images/two/00001.png"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 0xFF
    image.write_bytes(content)
    assert check_annotations(good, good.parent / "images").passed
    thorough = check_annotations(good, good.parent / "images", decode_images=True)
    assert counts_of(thorough) == {"unreadable-image": 1}


def test_a_polygon_may_stick_out_by_a_pixel(tmp_path):
    content = good_content()
    polygon = [-0.5, -1, WIDTH + 1, 0, WIDTH, HEIGHT + 1, 0, HEIGHT]
    content["annotations"][2]["segmentations"] = [[polygon]] * 3
    content["annotations"][2]["bboxes"] = content["annotations"][2]["areas"] = None
    assert check_annotations(write_json(tmp_path / "a.json", content)).passed


def coco_content():
    images = [{"id": 3, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}]
    fields = {"image_id": 3, "category_id": 1, "iscrowd": 0, "bbox": [4, 6, 14, 10], "area": 140}
    annotations = [{"id": 1, "segmentation": compressed(rectangle(4, 6, 14, 10)), **fields}]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ball"}]}


def test_a_coco_file_is_read(tmp_path):
    write_images(tmp_path, {"videos": [{"file_names": ["a.png"]}]})
    result = check_annotations(write_json(tmp_path / "instances.json", coco_content()), tmp_path)
    assert counts_of(result) == {}
    assert (result.summary.layout, result.summary.video_word, result.summary.masks) == ("COCO instances", "image", 1)


def test_faults_of_a_coco_file_are_found(tmp_path):
    content = coco_content()
    content["annotations"].append(content["annotations"][0] | {"id": 2, "segmentation": [], "track_id": 5})
    content["annotations"].append(content["annotations"][0] | {"id": 3, "image_id": 8})
    content["images"].append({"id": 4, "height": HEIGHT, "width": WIDTH})
    result = check_annotations(write_json(tmp_path / "instances.json", content))
    expected = {"empty-track": 1, "box-without-mask": 1, "unknown-video": 1, "bad-file-names": 1}
    assert counts_of(result) == {**expected, "empty-video": 1, "tracked-coco": 1}
    assert "image 8" in result.findings.get("unknown-video").examples[0]


def test_known_categories_are_named(tmp_path):
    from genvis.categories import known_categories

    known = known_categories("ovis")
    content = good_content()
    pairs = zip(known.ids, known.names, strict=True)
    content["categories"] = [{"id": identifier, "name": label} for identifier, label in pairs]
    assert check_annotations(write_json(tmp_path / "a.json", content)).summary.known_categories == "ovis"


def test_the_first_examples_are_kept_and_all_are_counted(tmp_path):
    content = good_content()
    content["annotations"] += [annotation(50 + i, 77, 1, [rectangle(1, 1, 5, 5)]) for i in range(9)]
    finding = check_annotations(write_json(tmp_path / "a.json", content), most_examples=2).findings.get("unknown-video")
    assert (finding.count, finding.kind.severity) == (9, Severity.ERROR)
    assert finding.examples == ["annotation 50: video 77", "annotation 51: video 77"]


def test_colours_follow_objects_on_the_contact_sheet(good, tmp_path):
    from genvis.video.drawing.palette import track_color

    sheet = tmp_path / "sheet.png"
    result = check_annotations(good)
    assert draw_contact_sheet(result.records, None, sheet) == 7
    pixels = np.asarray(Image.open(sheet)).reshape(-1, 3)
    for identity in (1, 2):
        assert (np.abs(pixels - np.array(track_color(identity))).max(axis=1) <= 2).sum() > 500


def test_endless_names_are_drawn_at_once(tmp_path):
    """Measuring them character by character took minutes."""
    content = good_content()
    content["videos"][0]["file_names"] = ["x" * 100_000 + f"/{frame}" for frame in range(4)]
    content["categories"][0]["name"] = "y" * 100_000
    result = check_annotations(write_json(tmp_path / "a.json", content))
    assert draw_contact_sheet(result.records, None, tmp_path / "sheet.png") == 7


def test_a_frame_with_thousands_of_objects_is_not_compared(tmp_path, monkeypatch):
    monkeypatch.setattr("genvis.data.check.overlap_checks.MOST_COMPARED", 2)
    content = good_content()
    content["annotations"] += [annotation(50 + i, 1, 1, [rectangle(1, 1, 5, 5)] * 4) for i in range(3)]
    findings = check_annotations(write_json(tmp_path / "a.json", content)).findings
    assert findings.get("not-compared").count >= 1
    assert findings.get("annotated-twice") is None


def test_names_with_line_breaks_are_drawn(tmp_path):
    content = good_content()
    content["categories"][0]["name"] = "two\nlines\u2028\x00"
    content["videos"][0]["file_names"][1] = "a\nb.jpg"
    result = check_annotations(write_json(tmp_path / "a.json", content))
    assert draw_contact_sheet(result.records, None, tmp_path / "sheet.png") == 7
