"""Faust workers that close the feedback loop: decode, join, and write."""
