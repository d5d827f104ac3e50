"""Reports of an evaluation: terminal, JSON, HTML."""
