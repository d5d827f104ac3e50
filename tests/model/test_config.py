"""The 20 published recipes by name, and configurations that contradict themselves."""

import pytest
from transformers import AutoConfig

from genvis import GenVISConfig
from genvis.categories import known_categories
from genvis.errors import InputError
from genvis.model.published_models import recipe_names, swin_backbone
from tests.model.tiny_models import MINVIS, tiny_config

# Of the published recipes: categories and its classes, shorter side at inference, detections in a video.
DATA = {
    "ytvis19": ("youtube_vis_2019", 40, {"r50": 360, "swinl": 448}, 10),
    "ytvis21": ("youtube_vis_2021", 40, {"r50": 360, "swinl": 448}, 10),
    "ovis": ("ovis", 25, {"r50": 360, "swinl": 448}, 20),
    "coco": ("coco", 80, {"r50": 800, "swinl": 800}, 100),
}
FRAME_QUERIES = {"r50": 100, "swinl": 200}
CLIP_LENGTH = {"online": 1, "semi-online": 3}


def test_there_are_12_recipes_of_genvis_and_8_of_vita():
    names = recipe_names()
    assert len(set(names)) == len(names) == 20
    assert sum(name.startswith("vita-") for name in names) == 8
    assert {"ovis-r50-online", "ytvis21-swinl-semi-online", "vita-coco-swinl"} < set(names)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_the_published_sizes(name):
    config = GenVISConfig.from_recipe(name)
    is_vita = name.startswith("vita-")
    data, backbone, *mode = name.removeprefix("vita-").split("-", maxsplit=2)
    categories_name, classes, shorter_sides, detections = DATA[data]
    detector = config.detector_config

    assert config.categories == known_categories(categories_name)
    assert config.num_classes == classes == len(detector.id2label)
    assert config.detections_per_video == detections
    assert (config.min_size_test, config.max_size_test) == (shorter_sides[backbone], 1333)

    assert (config.hidden_dim, config.num_attention_heads, config.dim_feedforward) == (256, 8, 2048)
    assert (config.encoder_layers, config.object_decoder_layers, config.num_instance_queries) == (6, 3, 100)
    assert config.mask_feature_size == 256
    assert tuple(config.pixel_mean) == (123.675, 116.28, 103.53)
    assert tuple(config.pixel_std) == (58.395, 57.12, 57.375)
    assert config.size_divisibility == 32
    assert config.memory_clips is None

    if is_vita:
        assert (config.method, config.propagate_queries, config.memory_read) == ("vita", False, "none")
        assert config.encoder_window_size == (0 if data == "coco" else 6)
    else:
        assert (config.method, config.propagate_queries, config.memory_read) == ("genvis", True, "index")
        assert config.encoder_window_size == 0
        assert config.clip_length == CLIP_LENGTH[mode[0]]

    assert (detector.hidden_dim, detector.feature_size, detector.mask_feature_size) == (256, 256, 256)
    assert (detector.num_attention_heads, detector.dim_feedforward) == (8, 2048)
    assert (detector.encoder_layers, detector.encoder_feedforward_dim) == (6, 1024)
    assert detector.decoder_layers == 10  # nine layers, and the prediction before the first
    assert detector.num_queries == FRAME_QUERIES[backbone]
    assert detector.dropout == 0.0
    assert not detector.pre_norm

    trunk = detector.backbone_config
    assert trunk.out_features == ["stage1", "stage2", "stage3", "stage4"]
    if backbone == "r50":
        assert (trunk.model_type, trunk.layer_type, trunk.depths) == ("resnet", "bottleneck", [3, 4, 6, 3])
        assert (trunk.embedding_size, trunk.hidden_sizes) == (64, [256, 512, 1024, 2048])
        assert not trunk.downsample_in_bottleneck  # the stride is in the 3x3 convolution
    else:
        assert (trunk.model_type, trunk.embed_dim, trunk.window_size) == ("swin", 192, 12)
        assert (trunk.depths, trunk.num_heads) == ([2, 2, 18, 2], [6, 12, 24, 48])
        assert (trunk.mlp_ratio, trunk.qkv_bias, trunk.drop_path_rate) == (4.0, True, 0.3)


@pytest.mark.parametrize("name", recipe_names())
def test_a_configuration_comes_back_from_its_file_as_it_was(name, tmp_path):
    config = GenVISConfig.from_recipe(name)
    config.save_pretrained(tmp_path)
    for loaded in (GenVISConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert type(loaded) is GenVISConfig
        assert type(loaded.detector) is type(config.detector)
        assert type(loaded.detector_config.backbone_config) is type(config.detector_config.backbone_config)
        assert loaded.categories == config.categories
        assert loaded.to_diff_dict() | {"_name_or_path": ""} == config.to_diff_dict() | {"_name_or_path": ""}
        assert loaded.to_json_string() == config.to_json_string()


@pytest.mark.parametrize(("size", "width", "window"), [("tiny", 96, 7), ("small", 96, 7), ("base", 128, 12)])
def test_the_smaller_swins_are_there_too(size, width, window):
    backbone = swin_backbone(size)
    assert (backbone["embed_dim"], backbone["window_size"]) == (width, window)


def test_other_labels_leave_the_rest_and_the_original_alone():
    config = tiny_config(classes=3, memory_clips=7)
    other = config.with_labels(known_categories("ovis"))
    assert (other.num_classes, other.memory_clips, config.num_classes) == (25, 7, 3)
    assert other.categories == known_categories("ovis")
    assert other.detector_config.num_labels == 25
    assert config.categories.names == ("kind 0", "kind 1", "kind 2")
    assert config.categories.ids == (1, 2, 3)


def test_more_than_ten_classes_keep_their_order_through_a_file(tmp_path):
    config = tiny_config(classes=3).with_labels(known_categories("coco"))
    config.save_pretrained(tmp_path)  # JSON has only text as keys, and "10" sorts before "2".
    assert GenVISConfig.from_pretrained(tmp_path).categories == known_categories("coco")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "magic"}, "method is 'magic'"),
        ({"memory_read": "all"}, "memory_read is 'all'"),
        ({"propagation": "half"}, "propagation is 'half'"),
        ({"frame_reading": "half"}, "frame_reading is 'half'"),
        ({"frame_reading": "claims"}, "frame_reading 'claims' has no memory.*memory_read to 'none'"),
        ({"propagation": "gated", **MINVIS}, "propagation 'gated'.*propagate_queries on"),
        ({"resizing": {"rule": "longest"}}, "rule 'longest'"),
        ({"resizing": {"short_side": 3}}, "resizing is"),
        ({"size_divisibility": 0}, "size_divisibility is 0"),
        ({"pixel_std": [1.0, 0.0, 1.0]}, "std"),
        ({"pixel_mean": [1.0]}, "three channels"),
        ({"num_attention_heads": 5}, "no multiple of 5 heads"),
        ({"category_ids": [1, 2]}, "2 category ids for 3 classes"),
        ({"encoder_window_size": -1}, "encoder_window_size"),
        ({"clip_length": 0}, "clip_length"),
        ({"memory_clips": 0}, "memory_clips is 0"),
        ({"propagate_queries": False}, "memory_read to 'none'"),
        ({"num_instance_queries": 0}, "num_instance_queries"),
        ({"object_decoder_layers": 0}, "object_decoder_layers"),
    ],
)
def test_a_contradiction_is_named(fields, message):
    with pytest.raises(InputError, match=message):
        tiny_config(**fields)


def test_a_detector_of_an_unknown_family_is_named():
    with pytest.raises(InputError, match="no detector of type 'detr'"):
        GenVISConfig(detector={"model_type": "detr"})


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"choose from .*ovis-r50-online"):
        GenVISConfig.from_recipe("ovis-r101-online")
    with pytest.raises(InputError, match="choose from tiny"):
        swin_backbone("huge")


def test_the_old_name_of_the_categories_is_read() -> None:
    saved = GenVISConfig.from_recipe("ovis-r50-online").to_dict()
    saved["label_set_name"] = saved.pop("categories_name")
    assert GenVISConfig(**saved).categories_name == "ovis"
