"""Benchmarks: each is run as a module (``python -m benchmarks.throughput``) and leaves a table and a JSON file."""
