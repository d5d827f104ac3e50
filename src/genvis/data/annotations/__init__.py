"""Annotation files: videos, objects, categories."""
