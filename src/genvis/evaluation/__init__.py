"""Scores: average precision as YouTube-VIS defines it, identity metrics, reports."""
