"""Verbs for results that are corrected, shown and sent elsewhere."""
