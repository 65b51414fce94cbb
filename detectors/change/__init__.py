"""Detectors of concept drift: they watch the errors or losses of a model, one number for each settled prediction."""

DEFAULT = "glr"
"""The detector that needs no tuning, by its name."""
