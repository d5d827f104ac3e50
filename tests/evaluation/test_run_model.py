import json
from pathlib import Path

import pytest
import torch

from genvis import GenVIS, GenVISConfig, InputError, VideoSegmenter
from genvis.categories import Categories, known_categories
from genvis.cli.main import main
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.sprites import SpriteVideos
from genvis.data.sprites.export import export_sprites
from genvis.evaluation.run_model import common_classes, run_model


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
    return VideoSegmenter(GenVIS.from_pretrained(folder), **options)


def test_an_interrupted_run_continues_where_it_was(sprites, model_folder, tmp_path):
    annotations = VideoAnnotations.load(sprites / "annotations.json")
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


def test_results_of_another_setting_are_not_mixed(sprites, model_folder, tmp_path):
    annotations = VideoAnnotations.load(sprites / "annotations.json")
    options = {"images": sprites / "frames", "folder": tmp_path, "on_video": lambda *_: None}
    run_model(segmenter_of(model_folder), annotations, **options)
    with pytest.raises(InputError, match="other settings"):
        run_model(segmenter_of(model_folder, clip_length=2), annotations, **options)


def test_categories_meet_by_name_with_the_data_s_ids():
    data = Categories("mine", (5, 9), ("giant panda", "submarine"))
    assert common_classes(known_categories("ovis"), data, file=Path("mine.json")) == {"Giant_panda": 5}
    with pytest.raises(InputError, match="no class in common"):
        common_classes(known_categories("ovis"), Categories("mine", (9,), ("submarine",)), file=Path("mine.json"))


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
