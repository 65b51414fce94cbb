"""Anomalies: in a series of a model's figures, in one event's features, and in several series at a time."""
