"""Micro-batches inside Faust: whole fetched batches as events, with exact commits."""
