"""Models of the Hub: from a cache made by hand, from a server on this machine, and without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import genvis
from genvis.categories import known_categories
from genvis.checkpoints.hub import HubFiles, announcement, cached_snapshot, is_hub_id
from genvis.checkpoints.registry import registry
from genvis.errors import InputError
from genvis.model.tracker.videomt import VidEoMT
from tests.checkpoints.hub_server import cache_by_hand, hub_server
from tests.tiny_families import save_tiny_family

DEFAULT = "tue-mps/videomt-dinov2-small-ytvis2019"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture(scope="module")
def videomt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = {index: f"LABEL_{index}" for index in range(40)}
    return save_tiny_family(tmp_path_factory.mktemp("videomt"), "videomt", id2label=labels)


def test_a_cached_model_loads_offline_by_both_of_its_names(cache: Path, videomt: Path, caplog) -> None:
    snapshot = cache_by_hand(cache, DEFAULT, videomt)
    assert cached_snapshot(DEFAULT) == snapshot
    for name in ("videomt-s-ytvis2019", DEFAULT):
        model = genvis.load(name)
        assert isinstance(model, VidEoMT)
        assert model.config.categories == known_categories("youtube_vis_2019")
    assert not caplog.records  # Nothing is fetched, so nothing is said.


def test_a_model_of_a_stranger_loads_from_the_cache(cache: Path, tmp_path: Path) -> None:
    cache_by_hand(cache, "someone/her-detector", save_tiny_family(tmp_path / "model", "mask2former"))
    assert genvis.load("someone/her-detector").config.categories.names == ("cat", "dog", "boat")


@pytest.mark.parametrize("name", ["videomt-s-ytvis2019", "someone/nothing"])
def test_without_cache_and_network_one_sentence_says_what_can_be_done(cache: Path, name: str) -> None:
    with pytest.raises(InputError) as raised:
        genvis.load(name)
    sentence = str(raised.value)
    assert f"genvis models fetch {name} --out FOLDER" in sentence
    assert "--weights sprites-tiny" in sentence
    assert str(cache) in sentence
    assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors"])
def test_a_model_that_is_cached_in_part_is_not_cached(cache: Path, videomt: Path, lacking: str) -> None:
    (cache_by_hand(cache, DEFAULT, videomt) / lacking).unlink()
    assert cached_snapshot(DEFAULT) is None


def test_a_model_in_parts_is_cached_when_all_parts_are_there(cache: Path, videomt: Path) -> None:
    snapshot = cache_by_hand(cache, DEFAULT, videomt)
    part = snapshot / "model-00001-of-00002.safetensors"
    (snapshot / "model.safetensors").rename(part)
    assert cached_snapshot(DEFAULT) is None
    (snapshot / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert cached_snapshot(DEFAULT) == snapshot


@pytest.mark.parametrize("name", ["", "a", "a/b/c", "/a/b", "../a", "a/..", "a b/c", "a/b\n", "ä/b"])
def test_what_is_no_hub_id(name: str) -> None:
    assert not is_hub_id(name)


def test_all_hub_ids_of_the_registry_are_ones() -> None:
    assert all(is_hub_id(entry.hub_id) for entry in registry() if entry.hub_id)


def test_the_announcement_says_what_how_large_which_licence_and_where(cache: Path) -> None:
    sentence = announcement(HubFiles(hub_id="a/b", names=("config.json",), size_in_bytes=96_400_000, licence="mit"))
    assert sentence == f"Fetching a/b from the Hugging Face Hub: 96 MB, licence mit, kept in {cache}."


def run(address: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, "-m", "genvis", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_fetching_says_first_what_it_fetches_and_takes_only_what_is_needed(videomt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    for file in videomt.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "modeling.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    home = tmp_path / "home"
    with hub_server({DEFAULT: folder}) as (address, requests):
        done = run(address, home, "models", "fetch", "videomt-s-ytvis2019", "--out", str(tmp_path / "carried"))
        assert done.returncode == 0, done.stderr
        assert f"Fetching {DEFAULT} from the Hugging Face Hub: 1 MB, licence MIT" in done.stderr
        assert f"kept in {home / 'hub'}" in done.stderr
        assert not [path for path in requests if path.endswith((".py", ".bin"))]
        count = len(requests)
        again = run(address, home, "models", "fetch", "videomt-s-ytvis2019")
        assert again.returncode == 0
        assert len(requests) == count  # From the cache, without a word.
        assert "Fetching" not in again.stderr
        listed = run(address, home, "models", "--json")
        places = {entry["name"]: entry["place"] for entry in json.loads(listed.stdout)}
        assert places["videomt-s-ytvis2019"] == "cached"
        assert places["videomt-l-ovis"] == "on the Hub"
        unknown = run(address, home, "models", "fetch", "someone/nothing")
        assert unknown.returncode == 2
        assert "The Hub has no model 'someone/nothing'" in unknown.stderr
        assert "Traceback" not in unknown.stderr
    assert isinstance(genvis.load(tmp_path / "carried"), VidEoMT)
    gone = run(address, tmp_path / "elsewhere", "models", "fetch", "videomt-s-ytvis2019")
    assert gone.returncode == 2
    assert "the Hugging Face Hub cannot be reached" in gone.stderr
