"""Checkpoints: the published files, and our folder format."""
