import numpy as np
import pytest
from pycocotools import mask as coco_mask

from genvis.cli.main import main
from genvis.data.convert.cvat.interpolation import polygons_between
from genvis.errors import InputError, OutputError
from genvis.integrations.cvat_push import cvat_client, push_result
from genvis.masks import draw_polygons, encode_mask, merge_masks
from genvis.results.types import FrameStamp, Track, VideoResult
from tests.integrations.cvat_server import TASK, TOKEN

FRAMES, HEIGHT, WIDTH = 12, 60, 90


def swimmers(*, indices: range = range(FRAMES)) -> VideoResult:
    """A disc that swims and hides for a while, and a ring with a second part."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc, ring = [], []
    for frame in range(len(indices)):
        distance = np.hypot(rows - 20, columns - 15 - 4 * frame)
        disc.append(encode_mask(distance < 10) if not 4 <= frame < 7 else None)
        other = np.hypot(rows - 42, columns - 30)
        ring.append(encode_mask(((other < 15) & (other > 6)) | ((rows > 45) & (columns > 75))))
    stamps = tuple(FrameStamp(index, index / 10, f"{index:05d}") for index in indices)
    tracks = (Track(3, "fish", 0, 1, 0.9, tuple(disc)), Track(8, "ray", 1, 2, 0.8, tuple(ring)))
    return VideoResult("reef", HEIGHT, WIDTH, stamps, tracks)


def images(count: int = FRAMES) -> list[np.ndarray]:
    return [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * count


def drawn(tracks: list[dict], group: int, frame: int) -> dict | None:
    """What CVAT shows of the tracks of one group in a frame."""
    polygons = []
    for track in tracks:
        shapes = [shape for shape in track["shapes"] if shape["frame"] <= frame]
        if track["group"] != group or not shapes or shapes[-1]["outside"]:
            continue
        later = [shape for shape in track["shapes"] if shape["frame"] > frame]
        points = np.reshape(shapes[-1]["points"], (-1, 2))
        if later and not later[0]["outside"] and shapes[-1]["frame"] < frame:
            first, last = shapes[-1]["frame"], later[0]["frame"]
            after = np.reshape(later[0]["points"], (-1, 2))
            (points,) = polygons_between(points, after, [(frame - first) / (last - first)])
        polygons.append(points)
    masks = [draw_polygons([polygon], height=HEIGHT, width=WIDTH) for polygon in polygons]
    found = [mask for mask in masks if mask is not None]
    return merge_masks(found).coco() if found else None


def test_tracks_are_written_as_they_are_in_the_result(serve):
    server = serve({"ray": 70, "fish": 71, "crab": 72}, images())
    result = swimmers()
    with cvat_client(server=server.address) as client:
        pushed = push_result(client, TASK, result)
    ((method, action, body),) = server.received
    assert (method, action) == ("PATCH", "create")
    tracks = body["tracks"]
    assert (pushed.objects, pushed.tracks, pushed.frames_outside) == (2, len(tracks), 0)
    assert {(track["group"], track["label_id"]) for track in tracks} == {(3, 71), (8, 70)}
    assert {shape["type"] for track in tracks for shape in track["shapes"]} == {"polygon"}
    assert pushed.keyframes < 3 * FRAMES
    for track in result.tracks:
        for frame, mask in enumerate(track.masks):
            shown = drawn(tracks, track.id, frame)
            if mask is None:
                assert shown is None
            else:
                assert coco_mask.iou([shown], [mask.coco()], [0])[0, 0] >= 0.98


def test_frames_are_those_of_the_task(serve):
    server = serve({"ray": 70, "fish": 71}, images(4), start=10, step=2)
    with cvat_client(server=server.address) as client:
        pushed = push_result(client, TASK, swimmers(indices=range(8, 20)), replace=True)
    ((method, _, body),) = server.received
    assert method == "PUT"
    assert pushed.frames_outside == 8
    assert {shape["frame"] for track in body["tracks"] for shape in track["shapes"]} <= {0, 1, 2, 3}
    fish = next(track for track in body["tracks"] if track["group"] == 3)
    assert (fish["shapes"][0]["frame"], fish["shapes"][0]["outside"]) == (0, False)


@pytest.mark.parametrize(
    ("labels", "start", "side", "sentence"),
    [
        ({"fish": 1}, 0, HEIGHT, "Task 42 has no label 'ray'"),
        ({"fish": 1, "ray": 2}, 100, HEIGHT, "has frames 100 to 111 of its video, step 1, and 'reef' none"),
        ({"fish": 1, "ray": 2}, 0, 61, "The frames of task 42 are 90x61, those of 'reef' 90x60"),
    ],
)
def test_another_video_is_refused(serve, labels, start, side, sentence):
    server = serve(labels, [np.zeros((side, WIDTH, 3), np.uint8)] * FRAMES, start=start)
    with cvat_client(server=server.address) as client, pytest.raises(InputError, match=sentence):
        push_result(client, TASK, swimmers())
    assert server.received == []


def test_what_the_server_refuses_is_one_sentence_without_the_token(serve, monkeypatch, tmp_path):
    server = serve({"fish": 1, "ray": 2}, images())
    with cvat_client(server=server.address) as client, pytest.raises(InputError, match="has no task 41"):
        push_result(client, 41, swimmers())
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "wrong-one")
    with (
        pytest.raises(InputError, match=r"refuses the access token \(status 401\)") as refused,
        cvat_client(server=server.address) as client,
    ):
        push_result(client, TASK, swimmers())
    assert "wrong-one" not in str(refused.value)
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InputError, match="no access token: set CVAT_ACCESS_TOKEN"), cvat_client(server=server.address):
        pass
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    with cvat_client(server="http://127.0.0.1:9") as client, pytest.raises(OutputError, match="does not answer"):
        push_result(client, TASK, swimmers())


def test_the_command(serve, tmp_path, capsys):
    server = serve({"fish": 1, "ray": 2}, images())
    swimmers().save(tmp_path / "out", outputs=["result"])
    assert main(["cvat", "push", str(TASK), str(tmp_path / "out"), "--server", server.address]) == 0
    printed = capsys.readouterr().out
    assert f"Task {TASK}: 2 objects as" in printed
    assert TOKEN not in printed
    assert len(server.received) == 1
