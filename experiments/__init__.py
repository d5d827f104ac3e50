"""The paper's tables and figures on generated videos: `python -m experiments --help`, docs/reproduction.md."""
