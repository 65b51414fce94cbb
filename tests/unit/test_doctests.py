"""The examples in docstrings are true. (pytest's own collection of doctests can't follow the package layout.)"""

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "detectors", "infra", "producers", "stream_processors", "console")


def modules() -> Iterator[str]:
    """Names of all our modules that can be imported without being run."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] != "__main__":
                yield ".".join(("loopwatch", *parts)).removesuffix(".__init__")


def test_every_example_in_a_docstring_is_true() -> None:
    tried = 0
    for name in modules():
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, f"{name}: run python -m doctest on it"
        tried += result.attempted
    assert tried > 50
