"""From a CVAT export of one's own video to predictions: the commands of the README, on a small generated export."""

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml
from PIL import Image

from genvis.checkpoints.load import load_genvis
from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import file_categories
from genvis.data.sprites import SpriteVideos, render
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.training.recipe import hardware_presets
from genvis.training.recipe.hardware_presets import TrainingMachine, preset_for
from genvis.training.recipe.loading import load_recipe
from genvis.training.recipe.own_videos import plan_own_recipes, write_own_recipes
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.sample_stream import training_stream
from genvis.video.writing.video_writer import VideoWriter
from tests.tiny_families import save_tiny_family

pytestmark = pytest.mark.filterwarnings("ignore")
FRAMES = 8


def export_of_cvat(folder: Path) -> tuple[Path, Path]:
    """Film a scene of sprites, outline its objects as an annotator would, and export that as CVAT does."""
    scene = SpriteVideos(8, height=96, width=160, length=FRAMES, difficulty="easy").scene(7)
    shapes: dict[int, list[str]] = {}
    with VideoWriter(folder / "reef.mp4", frame_rate=10.0) as video:
        for number, frame in enumerate(render(scene)):
            video.write(frame.image, time=number / 10.0)
            for thing in range(len(scene.labels)):
                outlines, _ = cv2.findContours(
                    (frame.owners == thing + 1).astype("uint8"), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
                )
                for outline in outlines:
                    points = ";".join(f"{x}.00,{y}.00" for x, y in outline[:, 0].tolist())
                    shapes.setdefault(thing, []).append(
                        f'<polygon frame="{number}" keyframe="1" outside="0" occluded="0" points="{points}" '
                        'z_order="0"/>'
                    )
    tracks = "".join(
        f'<track id="{thing}" label="{"fish" if thing % 2 else "crab"}" source="manual">{"".join(drawn)}</track>'
        for thing, drawn in shapes.items()
    )
    meta = (
        f"<version>1.1</version><meta><task><id>1</id><name>reef</name><size>{FRAMES}</size>"
        "<mode>interpolation</mode><start_frame>0</start_frame><frame_filter></frame_filter>"
        "<labels><label><name>crab</name><attributes/></label><label><name>fish</name><attributes/></label></labels>"
        "<original_size><width>160</width><height>96</height></original_size><source>reef.mp4</source></task></meta>"
    )
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr(
            "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{tracks}</annotations>\n'
        )
    return folder / "export.zip", folder / "reef.mp4"


def test_five_commands_from_a_cvat_export_to_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export_of_cvat(tmp_path)
    brief = ["--run.max_steps", "1", "--run.accelerator", "cpu", "--run.devices", "1", "--data.workers", "0"]
    brief += ["--data.batch_size", "1", "--loss.points.count", "64", "--run.tensorboard", "false"]
    small_cache = ["--cache.views", "2"]
    for command in (
        ["data", "convert", "from-cvat", "export.zip", "reef.json", "--images", "images", "--video", "reef.mp4"],
        ["data", "prepare", "reef.json", "--images", "images", "--init", "sprites-tiny", "--no-estimate"],
        ["train", "reef_detector.yaml", *brief],
        ["train", "reef_genvis.yaml", *brief, *small_cache],
        ["predict", "reef.mp4", "--weights", "runs/reef-genvis/model", "-o", "out"],
    ):
        assert main(command) == 0, command
    config = json.loads(Path("runs/reef-genvis/model/config.json").read_text())
    assert list(config["id2label"].values()) == ["crab", "fish"]
    (results,) = Path("out").rglob("youtube_vis.json")
    assert {entry["category_id"] for entry in json.loads(results.read_text())} <= {1, 2}


@pytest.fixture(scope="module")
def four_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "set"
    words = ["data", "sprites", str(folder), "--videos", "4", "--length", "2", "--height", "48", "--width", "80"]
    assert main(words) == 0
    return folder


def test_recipes_hold_out_videos_and_fit_the_model_that_they_start_from(
    four_videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(four_videos)
    words = [
        "data",
        "prepare",
        "annotations.json",
        "--images",
        "frames",
        "--init",
        "sprites-tiny",
        "--validation",
        "0.25",
        "--name",
        "zoo",
        "--no-estimate",
    ]
    assert main(words) == 0
    assert "3 videos to train on, 1 to validate on" in capsys.readouterr().out
    detector, genvis = load_recipe("zoo_detector.yaml"), load_recipe("zoo_genvis.yaml")
    assert detector.stage == "detector"
    assert detector.model.categories == "annotations_train.json"
    assert detector.data.validation is not None
    assert detector.data.validation.annotations == "annotations_validation.json"
    assert max(detector.data.augmentation.short_sides) <= 150
    assert genvis.stage == "genvis"
    assert genvis.model.init == "runs/zoo-detector/model"
    for name in ("annotations_train.json", "annotations_validation.json", "zoo_genvis.yaml"):
        (four_videos / name).unlink()
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert not (four_videos / "annotations_train.json").exists()


def test_a_folder_of_images_that_is_not_there_is_named(four_videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "prepare", str(four_videos / "annotations.json"), "--images", "nowhere", "--init", "sprites-tiny"]
    assert main(words) == 2
    assert "There is no folder 'nowhere'" in capsys.readouterr().err


def test_a_tracker_that_was_trained_keeps_its_heads(four_videos: Path, tmp_path: Path) -> None:
    planned = plan_own_recipes(name="own", images=four_videos / "frames", init="sprites-tiny", folder=tmp_path)
    write_own_recipes(planned, train=four_videos / "annotations.json", validation=None)
    tracker = load_recipe(planned.genvis)
    assert (tracker.model.heads, tracker.model.memory) == ("init", "init")


@pytest.mark.parametrize(
    ("width", "expected", "tracking"),
    [
        (64, ("detector", "init", "looks"), ("claims", "none", "occupancy")),
        (32, ("detector", "silent", "init"), ("attention", "index", "full")),
    ],
)
def test_a_new_tracker_begins_with_a_comparison_of_looks_and_places(
    four_videos: Path, tmp_path: Path, width: int, expected: tuple[str, str, str], tracking: tuple[str, str, str]
) -> None:
    detector = load_genvis("sprites-tiny").as_minvis()
    detector.config.hidden_dim = width  # Of a tracker that is made for it.
    detector.save_pretrained(tmp_path / "detector")
    planned = plan_own_recipes(
        name="own", images=four_videos / "frames", init=str(tmp_path / "detector"), folder=tmp_path
    )
    write_own_recipes(planned, train=four_videos / "annotations.json", validation=None)
    model = load_recipe(planned.genvis).model
    assert (model.heads, model.memory, model.attention) == expected
    config = {"frame_reading": "attention", "memory_read": "index", "propagation": "full"} | model.config
    assert (config["frame_reading"], config["memory_read"], config["propagation"]) == tracking
    assert load_recipe(planned.detector).model.attention == "init"


@pytest.mark.parametrize(("propagation", "spacing"), [("motion", "even"), ("occupancy", "random")])
def test_a_tracker_whose_places_move_learns_from_frames_at_even_distances(
    four_videos: Path, tmp_path: Path, propagation: str, spacing: str
) -> None:
    recipe = recipe_from(four_videos, tmp_path, propagation=propagation)
    assert recipe.data.frame_spacing == spacing


@pytest.mark.parametrize("weight", [0.1, 0.7])
def test_a_tracker_goes_on_with_the_weight_of_no_object_that_it_has(
    four_videos: Path, tmp_path: Path, weight: float
) -> None:
    recipe = recipe_from(four_videos, tmp_path, no_object_weight=weight)
    assert recipe.loss.weights.no_object == weight


def recipe_from(videos: Path, folder: Path, **changes: Any) -> Recipe:
    """Return the tracker's recipe for own videos from the bundled model with other fields of its configuration."""
    config = {**load_genvis("sprites-tiny").config.to_dict(), **changes}
    GenVIS(GenVISConfig(**config)).save_pretrained(folder / "claims")
    planned = plan_own_recipes(name="own", images=videos / "frames", init=str(folder / "claims"), folder=folder)
    write_own_recipes(planned, train=videos / "annotations.json", validation=None)
    return load_recipe(planned.genvis)


def test_a_semi_online_model_is_trained_in_clips(four_videos: Path, tmp_path: Path) -> None:
    model = load_genvis("sprites-tiny")
    model.config.clip_length = 3
    model.save_pretrained(tmp_path / "clips")
    written = plan_own_recipes(name="zoo", images=four_videos / "frames", init=str(tmp_path / "clips"), folder=tmp_path)
    write_own_recipes(written, train=four_videos / "annotations.json", validation=None)
    assert yaml.safe_load(written.genvis.read_text())["data"]["frames_per_clip"] == 3
    assert load_recipe(written.detector).data.validation is None


def test_a_detector_that_stays_frozen_needs_one_stage(
    four_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = save_tiny_family(tmp_path / "hub", "rf_detr")
    monkeypatch.chdir(four_videos)
    words = ["data", "prepare", "annotations.json", "--images", "frames", "--init", str(weights), "--name", "frozen"]
    words += ["--no-estimate"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "genvis train frozen_genvis.yaml" in said
    assert "frozen_detector" not in said
    assert not Path("frozen_detector.yaml").exists()
    recipe = load_recipe("frozen_genvis.yaml")
    assert (recipe.stage, recipe.model.init, recipe.loss.detector_layers) == ("genvis", str(weights), 2)
    brief = ["--run.max_steps", "1", "--run.accelerator", "cpu", "--run.devices", "1", "--data.workers", "0"]
    brief += ["--data.batch_size", "1", "--loss.points.count", "64", "--run.tensorboard", "false"]
    small_cache = ["--cache.views", "2"]
    brief += ["--model.config.hidden_dim", "32", "--model.config.num_attention_heads", "2", "--run.validate_steps", "0"]
    assert main(["train", "frozen_genvis.yaml", *brief, *small_cache]) == 0
    assert load_genvis("runs/frozen-genvis/model").config.categories == file_categories("annotations_train.json")


def small_coco(folder: Path) -> Path:
    """Eight images with an object each, as an annotation tool exports them."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(8):
        Image.new("RGB", (80, 48), (number * 20, 90, 60)).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 48, "width": 80})
        corners = [[10, 10, 40, 10, 40, 40, 10, 40]]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "segmentation": corners})
    content = {"images": images, "categories": [{"id": 1, "name": "crab"}], "annotations": annotations}
    (folder / "crabs.json").write_text(json.dumps(content))
    return folder


def test_single_images_are_trained_on_as_pseudo_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A COCO file as an annotation tool exports it, without any track id."""
    monkeypatch.chdir(small_coco(tmp_path))
    assert main(["data", "prepare", "crabs.json", "--init", "sprites-tiny", "--no-estimate"]) == 0
    assert "8 images as videos of one frame" in capsys.readouterr().out
    recipe = load_recipe("crabs_genvis.yaml")
    stream = training_stream(recipe.data, labels=file_categories("crabs_videos_train.json"), seed=0)
    sample = stream[0]
    assert sample.frames.shape[0] == recipe.data.clips
    assert not torch.equal(sample.frames[0], sample.frames[1])


def test_the_recipes_can_be_run_from_any_folder(
    four_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(four_videos, tmp_path / "set", ignore=shutil.ignore_patterns("*.yaml"))
    monkeypatch.chdir(tmp_path)
    words = ["data", "prepare", "set/annotations.json", "--images", "set/frames", "--init", "sprites-tiny"]
    assert main([*words, "--name", "zoo", "--no-estimate"]) == 0
    recipe = load_recipe("set/zoo_detector.yaml")
    assert Path(recipe.data.sources[0].annotations).is_file()
    assert Path(recipe.data.sources[0].images).is_dir()
    assert Path(recipe.model.categories).is_file()
    assert recipe.run.output == str(Path("set/runs/zoo-detector"))


def test_without_a_gpu_the_cpu_s_recipes_are_written_and_their_time_is_said(
    four_videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(four_videos)
    monkeypatch.setattr(hardware_presets, "this_machine", lambda: TrainingMachine("", 8 * 10**9, 2))
    words = ["data", "prepare", "annotations.json", "--images", "frames", "--init", "sprites-tiny", "--name", "cpu"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "This machine: 2 CPU cores, no GPU, 8 GB. On a CPU frames have 240 pixels" in said
    for stage in ("detector", "genvis"):
        assert re.search(rf"cpu_{stage}.yaml: about \d.* \(\d,\d00 steps of", said)
    assert "to fill a cache of" in said
    detector, genvis = load_recipe("cpu_detector.yaml"), load_recipe("cpu_genvis.yaml")
    assert (detector.run.max_steps, detector.data.batch_size, detector.run.accelerator) == (1000, 2, "cpu")
    assert genvis.cache.folder == str(Path("runs/cpu-cache"))
    # What knows emoji only must learn to see, too.
    assert not detector.model.freeze_backbone


@pytest.mark.parametrize(("memory", "batch", "accumulate"), [(8 * 10**9, 2, 4), (12 * 10**9, 4, 2), (80 * 10**9, 8, 1)])
def test_a_gpu_takes_as_many_samples_as_fit(memory: int, batch: int, accumulate: int) -> None:
    preset = preset_for(TrainingMachine("a GPU", memory, 16))
    assert (preset.hardware, preset.suffix, preset.uses_cache) == ("gpu", "", False)
    assert preset.data["batch_size"] == batch
    assert preset.run == {"precision": "16-mixed", "accumulate": accumulate}
    assert preset_for(TrainingMachine("a GPU", memory, 16), "cpu").hardware == "cpu"


def test_a_large_model_is_trained_and_used_at_a_lower_resolution_on_a_cpu(four_videos: Path, tmp_path: Path) -> None:
    weights = save_tiny_family(tmp_path / "hub", "mask2former")
    model = load_genvis(str(weights))
    model.config.min_size_test, model.config.max_size_test = 800, 1333
    model.save_pretrained(tmp_path / "large")
    written = plan_own_recipes(
        name="zoo",
        images=four_videos / "frames",
        init=str(tmp_path / "large"),
        folder=tmp_path,
        preset=preset_for(TrainingMachine("", 10**10, 2)),
    )
    write_own_recipes(written, train=four_videos / "annotations.json", validation=None)
    assert written.detector is not None
    recipe = load_recipe(written.detector)
    assert recipe.model.config == {"min_size_test": 240, "max_size_test": 400}
    assert recipe.model.freeze_backbone
    assert (recipe.model.heads, recipe.model.memory) == ("init", "init")
    tracker = load_recipe(written.genvis)
    assert (tracker.model.heads, tracker.model.memory) == ("detector", "silent")  # It is new, the detector is not.
    assert tracker.loss.disappearance == 0.3
    assert max(recipe.data.augmentation.short_sides) == round(512 * 240 / 360)


def test_the_model_is_chosen_and_explained(
    four_videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(four_videos)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["data", "prepare", "annotations.json", "--images", "frames", "--name", "own", "--no-estimate"]) == 0
    said = capsys.readouterr().out
    assert "mask2former-t-coco is not in the cache and the network is switched off" in said
    assert "emoji only" in said
    assert load_recipe("own_detector.yaml").model.init == "sprites-tiny"


def test_the_dry_run_of_the_second_stage_needs_no_first(
    four_videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(four_videos)
    words = ["data", "prepare", "annotations.json", "--images", "frames", "--init", "sprites-tiny", "--name", "dry"]
    assert main([*words, "--no-estimate"]) == 0
    brief = ["--data.batch_size", "1", "--data.workers", "0", "--loss.points.count", "64", "--cache.folder", ""]
    assert main(["train", "dry_genvis.yaml", "--dry-run", *brief]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The stage before (dry_detector.yaml) has not run yet: measured with the weights it starts from." in said
