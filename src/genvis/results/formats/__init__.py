"""Formats of results: functions of the values in `genvis.results.types`."""
