"""Frames in and pictures out: reading, writing and drawing of videos."""
