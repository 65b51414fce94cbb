"""Conditions of rules: what of them holds now, or held at an instant of the past; a file a condition.

They are pure, and go by `facts`: those of `live` are read from tables as they are now, those of `history` are what was
known at an instant. `evaluate` asks them for all rules together.
"""
