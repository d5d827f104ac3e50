import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.check.check_result import check_annotations
from genvis.errors import InputError
from genvis.masks import encode_mask
from genvis.results.editing.edit_log import EditLog
from genvis.results.editing.edits import SetCategory
from genvis.results.editing.training_set import append_to_annotations
from genvis.results.types import FrameStamp, Track, VideoResult
from genvis.video import VideoWriter

HEIGHT, WIDTH, FRAMES = 96, 160, 6


def swim(*, name: str = "reef", indices: tuple[int, ...] = tuple(range(FRAMES))) -> VideoResult:
    """Two squares that swim to the right, and a track that is never visible."""
    tracks = []
    for number, (label, category_id) in enumerate((("fish", 3), ("ray", 7)), start=1):
        masks = []
        for frame in range(len(indices)):
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[10 + 40 * (number - 1) :, 10 + 5 * frame :][:30, :30] = True
            masks.append(encode_mask(mask) if frame or number == 1 else None)
        tracks.append(Track(number, label, number - 1, category_id, 0.9, tuple(masks)))
    tracks.append(Track(9, "ghost", 2, 8, 0.2, (None,) * len(indices)))
    stamps = tuple(FrameStamp(index, index / 10, f"{index:05d}") for index in indices)
    return VideoResult(name, HEIGHT, WIDTH, stamps, tuple(tracks))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "reef.mp4"
    with VideoWriter(path, frame_rate=10) as writer:
        for frame in range(FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), 20 * frame, np.uint8), time=frame / 10)
    return path


def test_a_new_file_is_one_that_can_be_trained_on(video: Path, tmp_path: Path):
    appended = append_to_annotations(swim(), tmp_path / "set.json", images=tmp_path / "images", video=video)
    assert (appended.frames, appended.objects, appended.masks) == (6, 2, 11)
    assert appended.new_categories == ("fish", "ray")
    assert not appended.replaced
    result = check_annotations(tmp_path / "set.json", tmp_path / "images")
    assert result.passed
    annotations = load_youtube_vis(tmp_path / "set.json")
    assert annotations.categories.names == ("fish", "ray")
    assert annotations.categories.ids == (3, 7)
    assert annotations.mask(0, 1, 2) == swim().track(2).masks[2]
    assert [path.name for path in sorted((tmp_path / "images" / "reef").iterdir())] == [
        f"{frame:06d}.jpg" for frame in range(FRAMES)
    ]
    assert appended.commands[0] == f"genvis data prepare {tmp_path}/set.json --images {tmp_path}/images"


def test_frames_are_those_of_the_result(video: Path, tmp_path: Path):
    from PIL import Image

    result = swim(indices=(1, 2, 5))
    append_to_annotations(result, tmp_path / "set.json", images=tmp_path / "images", video=video)
    files = sorted((tmp_path / "images" / "reef").iterdir())
    shades = [round(float(np.asarray(Image.open(path)).mean())) for path in files]
    assert [path.stem for path in files] == ["000001", "000002", "000005"]
    assert shades == pytest.approx([20, 40, 100], abs=3)


def test_what_is_in_the_file_stays_and_categories_are_matched_by_name(video: Path, tmp_path: Path):
    path = tmp_path / "set.json"
    before = {
        "info": {"year": 2020},
        "licenses": ["mine"],
        "videos": [{"id": 5, "file_names": ["a/0.jpg"], "height": 4, "width": 4, "length": 1}],
        "categories": [{"id": 7, "name": "fish", "supercategory": "animal"}],
        "annotations": [{"id": 3, "video_id": 5, "category_id": 7, "segmentations": [None], "note": "kept"}],
    }
    path.write_text(json.dumps(before))
    appended = append_to_annotations(swim(), path, images=tmp_path / "images", video=video)
    after = json.loads(path.read_text())
    assert appended.new_categories == ("ray",)
    assert after["licenses"] == ["mine"]
    assert after["videos"][0] == before["videos"][0]
    assert after["annotations"][0] == before["annotations"][0]
    assert after["categories"] == [*before["categories"], {"id": 8, "name": "ray", "supercategory": "object"}]
    assert [(one["id"], one["video_id"], one["category_id"]) for one in after["annotations"]] == [
        (3, 5, 7),
        (4, 6, 7),
        (5, 6, 8),
    ]


def test_a_video_is_added_once_and_replaced_when_told(video: Path, tmp_path: Path):
    path, images = tmp_path / "set.json", tmp_path / "images"
    append_to_annotations(swim(), path, images=images, video=video)
    before = path.read_bytes()
    with pytest.raises(InputError, match="has the frames of 'reef' already"):
        append_to_annotations(swim(), path, images=images, video=video)
    with pytest.raises(InputError, match="has a video 'reef' of other frames"):
        append_to_annotations(swim(indices=(1, 2)), path, images=images, video=video, replace=True)
    assert path.read_bytes() == before
    corrected = replace(swim(), tracks=swim().tracks[:1])
    assert append_to_annotations(corrected, path, images=images, video=video, replace=True).replaced
    annotations = load_youtube_vis(path)
    assert len(annotations) == 1
    assert len(annotations.tracks(0)) == 1
    append_to_annotations(swim(), path, images=images, video=video, name="again")
    assert len(load_youtube_vis(path)) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{}", "no YouTube-VIS file, or damaged in 'videos'"),
        ('{"videos": [{"id": 1, "file_names": 3}], "categories": [], "annotations": []}', "without file names"),
        ('{"videos": [], "categories": [{"id": 1}], "annotations": []}', "damaged in 'categories'"),
        ("[", "is not JSON"),
    ],
)
def test_damaged_files_are_left_alone(video: Path, tmp_path: Path, content: str, sentence: str):
    path = tmp_path / "set.json"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence):
        append_to_annotations(swim(), path, images=tmp_path / "images", video=video)
    assert path.read_text() == content
    assert not (tmp_path / "images").exists()


def test_another_video_is_refused(video: Path, tmp_path: Path):
    small = replace(swim(), height=48, tracks=())
    with pytest.raises(InputError, match="160x96, those of the result 160x48"):
        append_to_annotations(small, tmp_path / "set.json", images=tmp_path / "images", video=video)
    with pytest.raises(InputError, match="ends after 1 of the 2 frames"):
        append_to_annotations(
            swim(indices=(5, 9)), tmp_path / "set.json", images=tmp_path / "images", video=video, name="late"
        )
    assert not (tmp_path / "set.json").exists()


def test_the_command_applies_the_log(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    swim().save(tmp_path / "out", outputs=["result"])
    EditLog(tmp_path / "out").append(SetCategory(track_id=2, label="fish"))
    words = ["data", "append", str(tmp_path / "out"), str(tmp_path / "set.json"), "--video", str(video)]
    words += ["--images", str(tmp_path / "images"), "--log", str(tmp_path / "out" / "edits.jsonl")]
    assert main(words) == 0
    assert "reef added: 6 frames, 2 objects, 11 masks" in capsys.readouterr().out
    assert load_youtube_vis(tmp_path / "set.json").categories.names == ("fish",)
    assert main([*words, "--replace", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replaced"]


@pytest.mark.slow
def test_a_corrected_result_is_trained_on(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From the corrected result by the printed commands to a model: each stage takes one step."""
    monkeypatch.chdir(tmp_path)
    for name in ("reef", "bay"):
        appended = append_to_annotations(swim(), "set.json", images="images", video=video, name=name)
    brief = "--run.max_steps 1 --run.accelerator cpu --run.devices 1 --run.tensorboard false --data.workers 0 "
    brief += "--data.batch_size 1 --loss.points.count 64"
    prepare, *stages = appended.commands
    assert main([*shlex.split(prepare)[1:], "--init", "sprites-tiny", "--no-estimate"]) == 0
    for command in stages:
        assert main([*shlex.split(command)[1:], *brief.split()]) == 0
    assert (tmp_path / "runs" / "set-genvis" / "model" / "model.safetensors").exists()
