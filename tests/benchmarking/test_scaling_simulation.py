"""The simulation of many videos agrees with what can be worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.scaling import Parts, limit, sharded, taken_in_turn

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scaling.py"
PARTS = Parts(decode=0.004, prepare=0.002, network=0.4, masks=0.001, draw=0.006, write=0.010)


def test_one_process_waits_for_its_slowest_part():
    assert PARTS.alone(pictures=False) == pytest.approx(0.402 + 0.001)
    assert PARTS.alone(pictures=True) == pytest.approx(0.402 + 0.001 + 0.016)
    fast = PARTS.faster(400)
    assert fast.alone(pictures=False) == pytest.approx(0.004 + 0.001)  # Decoding is slower than the network.


def test_the_limit_moves_from_the_network_to_waiting_to_the_cores():
    common = {"cores": 8, "pictures": True, "on_gpu": True}
    assert limit(PARTS, processes=2, **common).by == "network"
    fast = PARTS.faster(100)
    assert limit(fast, processes=1, **common).by == "one part waiting for another"
    assert limit(PARTS.faster(1000), processes=16, **common).by == "cores"
    assert limit(PARTS.faster(1000), processes=16, **common).rate == pytest.approx(8 / 0.027)


def test_turns_are_never_worse_than_shares_and_never_better_than_even():
    seconds = np.random.default_rng(0).exponential(size=1000)
    even, turns, shares = seconds.sum() / 16, taken_in_turn(seconds, 16), sharded(seconds, 16, seed=0)
    assert even <= turns <= shares
    assert turns <= even + seconds.max()
    assert taken_in_turn(np.array([3.0, 1.0, 1.0]), 2) == 3.0
    assert taken_in_turn(np.array([3.0]), 64) == 3.0


def test_the_script_prints_both_tables(tmp_path):
    names = ("decode", "prepare", "backbone", "pixel decoder", "frame decoder", "tracker", "masks", "draw", "write")
    parts = [{"name": name, "milliseconds": 1.0} for name in names]
    (tmp_path / "figures.json").write_text(json.dumps({"model": "m", "network_size": [360, 640], "parts": parts}))
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "figures.json", "--videos", "1000"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "network 4.0" in done.stdout
    assert "| on these cores, 4.0 ms | " in done.stdout
    assert "| 1,000 | " in done.stdout
