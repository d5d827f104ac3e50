"""Many videos by several processes: nothing is lost, nothing is done twice, and what is missing is known."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genvis import VideoResult
from genvis.cli.main import main
from genvis.errors import InputError
from genvis.scaling import video_worker
from genvis.scaling.claims import Claim, claim_file
from genvis.scaling.listed_videos import list_videos
from genvis.scaling.manifests import Manifest, keys_with_manifest, read_manifests
from genvis.storage.owners import Owner, this_host
from genvis.storage.stores import LocalStore


def manifests_of(out) -> dict[str, Manifest]:
    store = LocalStore(out)
    return {manifest.name: manifest for manifest in read_manifests(store, sorted(keys_with_manifest(store)))}


def content(folder) -> list[object]:
    return [(track.id, track.label, track.score, track.masks) for track in VideoResult.load(folder).tracks]


def test_shares_together_give_what_one_run_gives(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos")
    assert main(predict_words(videos, tmp_path / "plain")) == 0
    for shard in ("2/3", "3/3", "1/3"):
        assert main(predict_words(videos, tmp_path / "out", "--shard", shard)) == 0
    found, plain = manifests_of(tmp_path / "out"), manifests_of(tmp_path / "plain")
    assert sorted(found) == sorted(plain) == [f"clip{number}" for number in range(6)]
    for name, manifest in found.items():
        assert (manifest.state, manifest.frames, manifest.problem) == ("finished", 4, None)
        assert manifest.seconds > 0
        assert manifest.fingerprint == plain[name].fingerprint
        assert content(tmp_path / "out" / name) == content(tmp_path / "plain" / name)
        table = (tmp_path / "out" / name / "objects.csv").read_text()
        assert table == (tmp_path / "plain" / name / "objects.csv").read_text()
    capsys.readouterr()
    assert main(["status", str(tmp_path / "out")]) == 0
    assert "6 videos: 6 finished, 0 failed, 0 running, 0 missing" in capsys.readouterr().out


def test_finished_videos_are_left_alone_and_bad_ones_do_not_stop_the_rest(
    write_videos, predict_words, tmp_path, capsys
):
    videos = write_videos(tmp_path / "videos", 3)
    videos[1].write_bytes(b"no video")
    words = predict_words(videos, tmp_path / "out", "--skip-finished")
    assert main(words) == 2
    found = manifests_of(tmp_path / "out")
    assert {name: manifest.state for name, manifest in found.items()} == {
        "clip0": "finished",
        "clip1": "failed",
        "clip2": "finished",
    }
    assert "clip1.mp4" in found["clip1"].problem
    before = {name: (tmp_path / "out" / name / "result.json").stat().st_mtime_ns for name in ("clip0", "clip2")}
    shutil.copy(videos[0], videos[1])  # It is sound now.
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "2 of 3 videos are finished already" in said
    assert manifests_of(tmp_path / "out")["clip1"].state == "finished"
    assert before == {name: (tmp_path / "out" / name / "result.json").stat().st_mtime_ns for name in before}


def test_status_says_what_is_missing_and_which_tasks_to_start_again(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos")
    out = tmp_path / "out"
    videos[0].write_bytes(b"no video")
    for number in (1, 4):
        main(predict_words(videos, out, "--shard", f"{number}/5"))
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 1
    status = json.loads(capsys.readouterr().out)
    lines = map(json.loads, (out / "manifests" / "list.jsonl").read_text().splitlines())
    keys = {Path(source).stem: key for key, _, source in lines}
    done = {name for name, key in keys.items() if int(key, 16) % 5 in (0, 3)}
    open_shards = sorted({int(key, 16) % 5 + 1 for name, key in keys.items() if name not in done or name == "clip0"})
    assert status["videos"] == 6
    assert status["finished"] == len(done - {"clip0"})
    assert {Path(video["source"]).stem for video in status["missing"]} == set(keys) - done
    assert {int(part) for run in status["array"].split(",") for part in _numbers(run)} == set(open_shards)
    assert main(["status", str(out)]) == 1
    assert f"--array={status['array']}" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):
        (tmp_path / "none" / "manifests").stat()
    assert main(["status", str(tmp_path / "none")]) == 2


def _numbers(run: str) -> range:
    low, _, high = run.partition("-")
    return range(int(low), int(high or low) + 1)


def test_other_weights_or_settings_are_refused_and_changed_files_done_again(
    write_videos, predict_words, tmp_path, capsys
):
    videos = write_videos(tmp_path / "videos", 2)
    out = tmp_path / "out"
    assert main(predict_words(videos, out, "--skip-finished")) == 0
    assert main(predict_words(videos, out, "--skip-finished", "--detections", "3")) == 2
    assert "belongs to another prediction (selection.detections was null, now 3)" in capsys.readouterr().err
    os.utime(videos[0], (1, 1))
    assert main(predict_words(videos, out, "--skip-finished")) == 2
    assert "belongs to another prediction (source.video was" in capsys.readouterr().out
    assert manifests_of(out)["clip0"].state == "finished"  # Its result is still there.
    assert main(predict_words(videos, out, "--overwrite", "--shard", "1/1")) == 0
    assert main(predict_words(videos, out, "--skip-finished")) == 0


def test_a_video_that_kills_its_process_again_and_again_is_given_up(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 2)
    out = tmp_path / "out"
    assert main(predict_words(videos[1:], out, "--skip-finished")) == 0
    store = LocalStore(out)
    key = list_videos(videos)[0].key
    dead = Owner(this_host(), 2**22 + 1, 0.0)
    store.create(claim_file(key), Claim(dead, "x", time.time(), video_worker.MOST_ATTEMPTS).to_bytes())
    assert main(predict_words(videos, out, "--skip-finished")) == 2
    assert "ended 3 processes" in capsys.readouterr().out
    assert manifests_of(out)["clip0"].state == "failed"


def test_a_video_that_a_user_names_again_is_continued_after_any_number_of_kills(write_videos, predict_words, tmp_path):
    videos = write_videos(tmp_path / "videos", 1)
    store = LocalStore(tmp_path / "out")
    dead = Owner(this_host(), 2**22 + 1, 0.0)
    assert store.create(claim_file(list_videos(videos)[0].key), Claim(dead, "x", time.time(), 9).to_bytes())
    assert main(predict_words(videos, tmp_path / "out", "--resume")) == 0


def test_a_video_that_takes_too_long_is_a_failure_that_can_be_continued(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 1)
    words = predict_words(videos, tmp_path / "out", "--skip-finished")
    assert main([*words, "--time-limit", "0.000001"]) == 2
    assert "took longer than --time-limit 1e-06 s: 1 frames were done" in capsys.readouterr().out
    assert manifests_of(tmp_path / "out")["clip0"].state == "failed"
    assert main(words) == 0
    assert manifests_of(tmp_path / "out")["clip0"].frames == 4
    assert main(["predict", str(videos[0]), "--time-limit", "0"]) == 2


def test_errors_of_any_kind_fail_the_video_only(write_videos, predict_words, tmp_path, monkeypatch, capsys):
    videos = write_videos(tmp_path / "videos", 2)

    def broken(*arguments, **options):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("genvis.cli.common.prediction_loop.predict_video", broken)
    assert main(predict_words(videos, tmp_path / "out", "--skip-finished")) == 2
    assert "'clip1' failed (RuntimeError): CUDA out of memory" in capsys.readouterr().out
    with pytest.raises(RuntimeError):
        main(predict_words(videos, tmp_path / "plain"))


def test_results_are_collected_into_one_file_each(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 3)
    out = tmp_path / "out"
    assert main(["collect", str(out)]) == 2
    assert "holds no finished video" in capsys.readouterr().err
    videos[1].write_bytes(b"no video")
    main(predict_words(videos, out, "--skip-finished"))
    assert main(["collect", str(out), "--outputs", "youtube_vis,csv,parquet", "-o", str(tmp_path / "all")]) == 0
    listed = json.loads((tmp_path / "all" / "videos.json").read_text())
    assert [(video["id"], video["name"], video["length"]) for video in listed["videos"]] == [
        (1, "clip0", 4),
        (2, "clip2", 4),
    ]
    entries = json.loads((tmp_path / "all" / "youtube_vis.json").read_text())
    expected = [
        entry
        for number, name in ((1, "clip0"), (2, "clip2"))
        for entry in VideoResult.load(out / name).to_youtube_vis(number)
    ]
    assert entries == expected
    assert len(entries) > 0
    import pandas

    table = pandas.read_parquet(tmp_path / "all" / "objects.parquet")
    text = pandas.read_csv(tmp_path / "all" / "objects.csv")
    pandas.testing.assert_frame_equal(table, text, check_dtype=False)
    one = pandas.read_csv(out / "clip2" / "objects.csv")
    pandas.testing.assert_frame_equal(
        table[table.video_id == 2].drop(columns="video_id").reset_index(drop=True), one, check_dtype=False
    )


def test_a_manifest_that_leads_elsewhere_is_refused(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 1)
    assert main(predict_words(videos, tmp_path / "out")) == 0
    (path,) = [path for path in (tmp_path / "out" / "manifests").glob("*.json") if path.name != "job.json"]
    document = json.loads(path.read_text())
    for change in ({"folder": "../videos"}, {"state": "odd"}, {"frames": -1}, {"extra": 1}, {"seconds": "x"}):
        path.write_text(json.dumps(document | change))
        assert main(["collect", str(tmp_path / "out")]) == 2
        assert "damaged" in capsys.readouterr().err
    with pytest.raises(InputError, match="no manifest"):
        Manifest.from_bytes(b"[", where="x")


def start(words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "genvis", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.slow
def test_two_processes_with_one_list_share_it(write_videos, predict_words, tmp_path):
    videos = write_videos(tmp_path / "videos", 12)
    words = predict_words(videos, tmp_path / "out", "--skip-finished")
    processes = [start(words), start(words)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(manifests_of(tmp_path / "out")) == 12
    wrote = [line for text in said for line in text.splitlines() if line.startswith("Wrote") and "result.json" in line]
    assert len(wrote) == len(set(wrote)) == 12
    assert not list((tmp_path / "out").rglob("*.running"))


@pytest.mark.slow
def test_four_shares_started_at_random_and_killed_end_as_one_run(write_videos, predict_words, tmp_path):
    """40 videos, three of them damaged; one of the processes is killed and started again."""
    videos = write_videos(tmp_path / "videos", 40)
    for number in (3, 17, 31):
        videos[number].write_bytes(videos[number].read_bytes()[:200])
    assert main(predict_words(videos, tmp_path / "plain", "--skip-finished")) == 2
    out = tmp_path / "out"
    words = [predict_words(videos, out, "--shard", f"{number}/4") for number in (3, 1, 4, 2)]
    running = [start(words[0]), start(words[1])]
    until = time.monotonic() + 120
    while not list(out.glob("manifests/*.running")) and time.monotonic() < until:
        time.sleep(0.01)
    running[0].send_signal(signal.SIGKILL)
    running[0].communicate()
    running += [start(words[2]), start(words[0]), start(words[3])]
    said = [process.communicate(timeout=400)[0] for process in running[1:]]
    found, plain = manifests_of(out), manifests_of(tmp_path / "plain")
    assert len(found) == 40, said
    assert {name for name, manifest in found.items() if manifest.state == "failed"} == {"clip3", "clip17", "clip31"}
    for name, manifest in found.items():
        assert manifest.state == plain[name].state
        if manifest.has_result:
            assert content(out / name) == content(tmp_path / "plain" / name)
    wrote = [line for text in said for line in text.splitlines() if line.startswith("Wrote") and "result.json" in line]
    assert len(wrote) == len(set(wrote))
