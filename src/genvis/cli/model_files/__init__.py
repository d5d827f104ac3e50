"""Verbs that turn a model into files of another form."""
