"""Keeps tables `metrics` and `estimates` up to date: finds the windows that changed, and evaluates them again."""
