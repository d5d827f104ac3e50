"""Cost of a bounded prototype memory: AP and tracking metrics of the bundled model against the clips that it keeps.

    python benchmarks/session_memory.py --output experiments-output --set endless

The detector's outputs of the set are recorded in the output folder of the experiments first, if they are not there yet.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.evaluation import EvaluationPlan, evaluate_tracker
from experiments.recordings import record
from experiments.runner import weights_digest
from experiments.validation_sets import validation_set

from experiments import FIRST_BUNDLED_MODEL
from genvis.checkpoints.load import load_genvis

MODEL = FIRST_BUNDLED_MODEL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("experiments-output"))
    parser.add_argument("--set", default="endless")
    parser.add_argument("--clips", type=int, nargs="+", default=[1, 10, 50, 100, 200, 10_000])
    options = parser.parse_args()
    validation = validation_set(options.set)
    folder = options.output / "recordings" / validation.name
    weights = weights_digest(load_genvis(MODEL).as_minvis())
    recording = record(lambda: load_genvis(MODEL), validation, folder, fingerprint=weights)
    print("clips     AP   HOTA   AssA   IDF1  id switches")
    for clips in options.clips:
        model = load_genvis(MODEL)
        tracker = model.tracker
        assert tracker is not None
        tracker.memory_clips = clips
        scores = evaluate_tracker(model, recording, EvaluationPlan(options.set, 1))
        row = f"{scores.ap:6.1f} {scores.hota:6.1f} {scores.assa:6.1f} {scores.idf1:6.1f} {scores.switches:8d}"
        print(f"{clips:5d} {row}", flush=True)


if __name__ == "__main__":
    main()
