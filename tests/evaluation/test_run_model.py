import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genvis import GenVIS, GenVISConfig, InputError, VideoSegmenter
from genvis.categories import Categories, known_categories
from genvis.checkpoints.load import load_genvis
from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.sprites import SpriteVideos
from genvis.data.sprites.sprite_export import export_sprites
from genvis.evaluation.run_model import common_categories, run_model
from genvis.fingerprint import claim


@pytest.fixture(scope="module")
def sprites(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sprites") / "set"
    export_sprites(SpriteVideos(3, height=48, width=64, length=4, difficulty="easy", split="validation"), folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    torch.manual_seed(0)
    backbone = {"model_type": "resnet", "layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 8, 16, 16]}
    backbone |= {"depths": [1, 1, 1, 1], "out_features": ["stage1", "stage2", "stage3", "stage4"]}
    sizes = {"hidden_dim": 32, "mask_feature_size": 32, "dim_feedforward": 32, "num_attention_heads": 4}
    detector = {**sizes, "backbone_config": backbone, "feature_size": 32, "num_queries": 6, "encoder_layers": 1}
    detector |= {"decoder_layers": 2, "encoder_feedforward_dim": 32}
    config = GenVISConfig(
        **sizes, detector=detector, num_instance_queries=6, encoder_layers=1, object_decoder_layers=1, min_size_test=48
    )
    folder = tmp_path_factory.mktemp("model") / "tiny"
    GenVIS(config.with_labels(known_categories("ovis"))).eval().save_pretrained(folder)
    return folder


def segmenter_of(folder, **options):
    return VideoSegmenter(load_genvis(folder), **options)


def test_an_interrupted_run_continues_where_it_was(sprites, model_folder, tmp_path):
    annotations = load_youtube_vis(sprites / "annotations.json")
    straight = run_model(
        segmenter_of(model_folder),
        annotations,
        images=sprites / "frames",
        folder=tmp_path / "a",
        on_video=lambda *_: None,
    )

    def interrupt(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    options = {"images": sprites / "frames", "folder": tmp_path / "b"}
    with pytest.raises(KeyboardInterrupt):
        run_model(segmenter_of(model_folder), annotations, **options, on_video=interrupt)
    first = (tmp_path / "b" / "videos" / "1.json").stat().st_mtime_ns
    resumed = run_model(segmenter_of(model_folder), annotations, **options, on_video=lambda *_: None)
    assert (tmp_path / "b" / "videos" / "1.json").stat().st_mtime_ns == first
    assert json.loads(resumed.read_text()) == json.loads(straight.read_text())
    assert {entry["video_id"] for entry in json.loads(resumed.read_text())} == {1, 2, 3}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_a_killed_process_is_continued_to_the_same_scores(model_folder, tmp_path):
    export_sprites(
        SpriteVideos(12, height=48, width=64, length=4, difficulty="easy", split="validation"), tmp_path / "set"
    )
    data = ["--annotations", tmp_path / "set" / "annotations.json", "--images", tmp_path / "set" / "frames"]
    words = ["eval", "--weights", model_folder, *data, "--workers", "1", "--device", "cpu", "-o"]
    words = [str(word) for word in words]
    assert main([*words, str(tmp_path / "straight")]) == 0
    cut, kills = tmp_path / "cut" / "videos", 0
    for number in (1, 4, 9):
        process = subprocess.Popen([sys.executable, "-m", "genvis", *words, str(tmp_path / "cut")])
        while process.poll() is None and not (cut / f"{number}.json").exists():
            time.sleep(0.001)
        process.kill()
        kills += process.wait(timeout=60) == -signal.SIGKILL
        done = {path.name: path.stat().st_mtime_ns for path in cut.glob("*.json")}
        assert number <= len(done) < 12
    assert kills == 3
    assert main([*words, str(tmp_path / "cut")]) == 0
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in cut.iterdir()}.items()
    for name in ("results.json", *(f"videos/{number}.json" for number in range(1, 13))):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    reports = [json.loads((tmp_path / folder / "report.json").read_text()) for folder in ("cut", "straight")]
    assert [report.pop("results") for report in reports] == [
        str(tmp_path / folder / "results.json") for folder in ("cut", "straight")
    ]
    assert reports[0] == reports[1]
    assert not list((tmp_path / "cut").rglob(".*.part*"))


@pytest.fixture
def run(sprites, model_folder, tmp_path):
    """A function that runs the model into one folder; its arguments replace the usual ones."""

    def start(*, annotations=None, images=None, model=None, **options):
        segmenter = VideoSegmenter(model or load_genvis(model_folder), **options)
        truth = annotations or load_youtube_vis(sprites / "annotations.json")
        images = images or sprites / "frames"
        return run_model(segmenter, truth, images=images, folder=tmp_path / "out", on_video=lambda *_: None)

    return start


def changed(sprites, folder, change):
    """Load a copy of the annotations in which something is changed."""
    document = json.loads((sprites / "annotations.json").read_text())
    change(document)
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return load_youtube_vis(path)


def swap_two_videos(document):
    first, second = document["videos"][:2]
    first["file_names"], second["file_names"] = second["file_names"], first["file_names"]


def drop_a_track(document):
    document["annotations"].pop()


BELONGS = r"out' belongs to another evaluation \({}.*: name another folder with -o, or remove this one"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_length": 2}, r"settings.clip_length was \d+, now 2"),
        ({"classes": ["Person"]}, r"settings.classes was null, now \["),
    ],
)
def test_a_folder_with_results_of_other_settings_is_refused(options, message, run):
    results = run()
    before = results.read_bytes()
    with pytest.raises(InputError, match=BELONGS.format(message)):
        run(**options)
    assert results.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap_two_videos, r"annotations was '.*annotations.json'.*; images differs too"),
        (drop_a_track, "annotations was"),
    ],
)
def test_a_folder_with_results_on_other_annotations_is_refused(change, message, run, sprites, tmp_path):
    run()
    with pytest.raises(InputError, match=BELONGS.format(message)):
        run(annotations=changed(sprites, tmp_path, change))


def test_a_folder_with_results_on_other_images_is_refused(run, sprites, tmp_path):
    run()
    shutil.copytree(sprites / "frames", tmp_path / "frames")
    with pytest.raises(InputError, match=BELONGS.format("images was ")):
        run(images=tmp_path / "frames")


def test_a_folder_with_results_of_other_weights_is_refused(run, model_folder):
    run()
    model = load_genvis(model_folder)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    with pytest.raises(InputError, match=BELONGS.format("weights was ")):
        run(model=model)


def test_the_same_annotations_in_another_file_continue(run, sprites, tmp_path):
    run()
    first = (tmp_path / "out" / "videos" / "1.json").stat().st_mtime_ns
    run(annotations=changed(sprites, tmp_path, lambda document: None))
    assert (tmp_path / "out" / "videos" / "1.json").stat().st_mtime_ns == first


def test_results_of_unknown_origin_are_refused(run, tmp_path):
    (tmp_path / "out" / "videos").mkdir(parents=True)
    (tmp_path / "out" / "videos" / "1.json").write_text("[]")
    with pytest.raises(InputError, match=r"holds results without fingerprint\.json"):
        run()


def results_of(video, masks):
    return json.dumps([{"video_id": video, "category_id": 1, "score": 1.0, "segmentations": masks}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "not valid JSON"),
        ("{}", "holds no list"),
        ('[{"video_id": 1}]', "has no 'category_id'"),
        (results_of(2, [None] * 4), "another video"),
        (results_of(1, [{"size": [48, 64], "counts": [5]}, None, None, None]), "wrong mask in frame 0"),
    ],
)
def test_a_damaged_file_of_a_video_is_one_sentence(content, message, run, tmp_path):
    run()
    (tmp_path / "out" / "videos" / "1.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        run()
    assert "1.json" in str(caught.value)


def test_two_processes_do_not_share_a_folder(run, tmp_path):
    with claim(tmp_path / "out"), pytest.raises(InputError, match="Another run is writing"):
        run()


def test_categories_meet_by_name_with_the_data_s_ids():
    data = Categories("mine", (5, 9), ("giant panda", "submarine"))
    assert common_categories(known_categories("ovis"), data, file=Path("mine.json")) == {"Giant_panda": 5}
    with pytest.raises(InputError, match="no category in common"):
        common_categories(known_categories("ovis"), Categories("mine", (9,), ("submarine",)), file=Path("mine.json"))


def test_the_command_runs_scores_and_packs(sprites, model_folder, tmp_path, capsys):
    words = ["eval", "--weights", str(model_folder), "--annotations", str(sprites / "annotations.json")]
    assert main([*words, "--images", str(sprites / "frames"), "-o", str(tmp_path)]) == 0
    assert "AP" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} >= {
        "results.json",
        "submission.zip",
        "report.html",
        "report.json",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give a results file, or --weights"),
        (["r.json", "--weights", "w"], "not both"),
        (["--weights", "w"], "--weights needs --images"),
    ],
)
def test_what_is_missing_is_said(words, message, sprites, capsys):
    assert main(["eval", *words, "--annotations", str(sprites / "annotations.json")]) == 2
    assert message in capsys.readouterr().err
