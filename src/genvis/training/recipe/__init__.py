"""Recipes: YAML files that define a training run."""
