"""Emit predictions and user actions: the Kafka SDK and replays of recorded events."""
