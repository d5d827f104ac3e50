"""The paper's tables and figures on generated videos: `python -m experiments --help`, docs/reproduction.md."""

from pathlib import Path

FIRST_BUNDLED_MODEL = str(Path(__file__).parent / "first_bundled_model")
"""With it most results here were made; the bundled model of today goes on from it (docs/bundled_model.md)."""

ASSOCIATION_DETECTOR = str(Path(__file__).parent / "association_detector")
"""A detector of large objects of four categories (association_detector.yaml), for the attempt `association`."""
