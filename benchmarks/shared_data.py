"""Data that the project is checked with, and that is not part of it."""

import os
from pathlib import Path

from loopwatch.schemas.errors import LoopwatchError

FOLDER = "LOOPWATCH_SHARED_DATA"
"""Environment variable that names the folder; without it, it is ``shared/data`` beside the project."""


def shared_file(name: str) -> Path:
    """A file of that folder.

    Raises:
        LoopwatchError: it isn't there.
    """
    folder = Path(os.environ.get(FOLDER) or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (folder / name).is_file():
        raise LoopwatchError(f"no {name} in {folder}: say by {FOLDER} in which folder it is")
    return folder / name
