import importlib
from dataclasses import dataclass

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import pytest
from cvat_sdk.core import Config
from cvat_sdk.core.client import AccessTokenCredentials, Client
from cvat_sdk.masks import decode_mask
from PIL import Image

from genvis.data.sprites import SpriteVideos, render
from genvis.errors import InputError
from genvis.integrations.cvat import create
from genvis.masks import draw_polygons
from tests.integrations.cvat_server import TASK, TOKEN


@dataclass
class Context:
    """What CVAT tells a function of a frame."""

    frame_name: str = "00000.png"
    conf_threshold: float | None = None
    conv_mask_to_poly: bool = False


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    scene = SpriteVideos(8, height=96, width=160, length=5, difficulty="easy").scene(7)
    return [frame.image for frame in render(scene)]


def test_shapes_are_the_masks_of_a_session_with_ids_as_groups(frames):
    function = create(weights="sprites-tiny", device="cpu", score_threshold=0.2)
    session = function._segmenter.open_session(score_threshold=0.2)
    assert isinstance(function.spec, cvataa.DetectionFunctionSpec)
    names = {label.id: label.name for label in function.spec.labels}
    found = 0
    for image in frames:
        shapes = function.detect(Context(), Image.fromarray(image))
        expected = {instance.id: instance for instance in session.step(image)}
        assert {shape.group for shape in shapes} == set(expected)
        for shape in shapes:
            instance = expected[shape.group]
            assert names[shape.label_id] == instance.label
            mask = decode_mask(shape.points, image_width=160, image_height=96)
            assert np.array_equal(mask, instance.mask)
            found += 1
    assert found


def test_polygons_where_cvat_asks_for_them(frames):
    function = create(weights="sprites-tiny", device="cpu")
    masks = create(weights="sprites-tiny", device="cpu").detect(Context(), Image.fromarray(frames[0]))
    polygons = function.detect(Context(conv_mask_to_poly=True), Image.fromarray(frames[0]))
    assert {shape.type.value for shape in polygons} == {"polygon"}
    for shape in masks:
        wanted = decode_mask(shape.points, image_width=160, image_height=96)
        parts = [np.reshape(one.points, (-1, 2)) for one in polygons if one.group == shape.group]
        drawn = draw_polygons(parts, height=96, width=160).decode()
        assert (drawn & wanted).sum() / (drawn | wanted).sum() >= 0.98


def test_frames_of_another_size_get_new_ids(frames):
    function = create(weights="sprites-tiny", device="cpu", score_threshold=0)
    first = function.detect(Context(), Image.fromarray(frames[0]))
    other = function.detect(Context(), Image.fromarray(frames[0][:80]))
    assert first
    assert other
    assert not {shape.group for shape in first} & {shape.group for shape in other}


def test_cvat_asks_for_a_threshold_and_classes(frames):
    function = create(weights="sprites-tiny", device="cpu", classes="Fish, Cat")
    assert [label.name for label in function.spec.labels] == ["Cat", "Fish"]
    assert function.detect(Context(conf_threshold=1.0), Image.fromarray(frames[0])) == []
    with pytest.raises(InputError, match="no class 'Unicorn'"):
        create(weights="sprites-tiny", device="cpu", classes="Unicorn")


def test_a_task_is_annotated_by_the_sdk_itself(serve, frames, tmp_path):
    function = create(weights="sprites-tiny", device="cpu", score_threshold=0.2)
    server = serve({label.name: 100 + label.id for label in function.spec.labels}, frames)
    with Client(server.address, config=Config(cache_dir=tmp_path)) as client:
        client.login(AccessTokenCredentials(TOKEN))
        cvataa.annotate_task(client, TASK, function)
    ((method, action, body),) = server.received
    assert (method, action) == ("PATCH", "create")
    again = create(weights="sprites-tiny", device="cpu", score_threshold=0.2)
    for number, image in enumerate(frames):
        sent = [shape for shape in body["shapes"] if shape["frame"] == number]
        expected = again.detect(Context(), Image.fromarray(image))
        assert [(shape["group"], shape["label_id"] - 100, shape["points"]) for shape in sent] == [
            (shape.group, shape.label_id, shape.points) for shape in expected
        ]
    assert {shape["source"] for shape in body["shapes"]} == {"auto"}


def test_the_module_is_what_the_command_line_of_cvat_loads():
    """`cvat-cli` imports the module and calls `create` with the parameters, by their names."""
    module = importlib.import_module("genvis.integrations.cvat")
    function = module.create(weights="sprites-tiny", device="cpu")
    assert callable(function.detect)
    assert function.spec.labels
