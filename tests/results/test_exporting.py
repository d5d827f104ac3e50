from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from genvis.cli.main import main
from genvis.data.convert.coco_tracks import read_coco_tracks
from genvis.data.convert.cvat.from_cvat import CvatOptions, read_cvat
from genvis.data.convert.indexed_png import read_indexed_png
from genvis.data.convert.tracks import ConvertedDataset
from genvis.errors import InputError
from genvis.masks import encode_mask
from genvis.results.exporting import EXPORT_FORMATS, export
from genvis.results.types import FrameStamp, Track, VideoResult
from genvis.video import VideoWriter, open_source

HEIGHT, WIDTH, FRAMES = 48, 80, 4


@pytest.fixture
def result() -> VideoResult:
    """Two objects that do not overlap; the second enters late."""
    tracks = []
    for number, label in ((3, "fish"), (8, "giant ray")):
        masks = []
        for frame in range(FRAMES):
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[4 * number - 8 :, 5 + 9 * frame :][:15, :17] = True
            masks.append(encode_mask(mask) if frame or number == 3 else None)
        tracks.append(Track(number, label, number, 10 + number, 0.9, tuple(masks)))
    stamps = tuple(FrameStamp(frame, frame / 10, f"{frame:05d}") for frame in range(FRAMES))
    return VideoResult("reef", HEIGHT, WIDTH, stamps, tuple(tracks))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "reef.mp4"
    with VideoWriter(path, frame_rate=10) as writer:
        for frame in range(FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), 50, np.uint8), time=frame / 10)
    return path


@pytest.mark.parametrize("name", list(EXPORT_FORMATS))
def test_every_format_is_written(name: str, result: VideoResult, video: Path, tmp_path: Path):
    chosen = EXPORT_FORMATS[name]
    place = export(result, name, tmp_path / "new" / f"reef{chosen.suffix}", source=video)
    assert place.is_dir() == (chosen.suffix == "")
    assert any(place.rglob("*.png")) if place.is_dir() else place.stat().st_size > 100
    assert [path.name for path in (tmp_path / "new").iterdir()] == [place.name]


def same(dataset: ConvertedDataset, result: VideoResult, *, iou: float = 1.0) -> bool:
    """Whether a data set has the objects, categories and masks of a result."""
    (video,) = dataset.videos
    names = {category.id: category.name for category in dataset.categories}
    tracks = {track.id: track for track in video.tracks}
    for track in result.tracks:
        found = tracks.pop(track.id)
        wanted = {place: mask for place, mask in enumerate(track.masks) if mask is not None}
        if names[found.category_id] != track.label or set(found.masks) != set(wanted):
            return False
        for place, mask in wanted.items():
            if coco_mask.iou([mask.coco()], [found.masks[place].coco()], [0])[0, 0] < iou:
                return False
    return not tracks


def test_what_is_read_back_is_the_result(result: VideoResult, tmp_path: Path):
    assert same(read_coco_tracks(export(result, "coco", tmp_path / "coco.json")), result)
    assert same(read_indexed_png(export(result, "davis", tmp_path / "davis")), result)
    options = CvatOptions(None, None, "skip", "group")
    assert same(read_cvat(export(result, "cvat", tmp_path / "reef.xml"), options), result, iou=0.98)
    assert VideoResult.load(export(result, "result", tmp_path / "result.json")) == result


def test_the_video_is_needed_where_it_is_drawn_on(result: VideoResult, video: Path, tmp_path: Path):
    with pytest.raises(InputError, match="'video' is drawn on the video: name the video"):
        export(result, "video", tmp_path / "x.mp4")
    with pytest.raises(InputError, match=r"no format 'coc'\. Did you mean 'coco'\?"):
        export(result, "coc", tmp_path / "x.json")
    drawn = []
    export(result, "video", tmp_path / "x.mp4", source=video, progress=drawn.append)
    assert drawn[-1] == FRAMES
    with open_source(tmp_path / "x.mp4") as source:
        assert len(list(source)) == FRAMES


@pytest.mark.parametrize(
    ("verb", "output"),
    [("to-coco", "a.json"), ("to-indexed-png", "davis"), ("to-mots", "mots"), ("to-youtube-vis", "y.json")],
)
def test_the_commands_take_a_result(verb: str, output: str, result: VideoResult, tmp_path: Path):
    result.save(tmp_path / "out", outputs=["result"])
    assert main(["data", "convert", verb, str(tmp_path / "out"), str(tmp_path / output)]) == 0
    assert (tmp_path / output).exists()
