"""Environments of their own for peers that can't live beside what Loopwatch needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]


def peer_environment(name: str, pins: Path) -> Path:
    """Python of the environment with the versions of the file `pins`, made if it isn't there: about a minute.

    It is kept in a folder `name` of the directory that LOOPWATCH_CACHE names, else of `.loopwatch/` in the repository.
    """
    folder = Path(os.environ.get("LOOPWATCH_CACHE") or _REPOSITORY / ".loopwatch").resolve() / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = pins.read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(pins)]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python
