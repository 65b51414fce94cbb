"""Several benchmarks in turn, each in a process of its own."""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence

from .throughput import ROOT


def in_turn(package: str, description: str | None, quick: Mapping[str, Sequence[str]]) -> int:
    """The command ``python -m PACKAGE`` for benchmarks of these names, with arguments for a quick run of each.

    Returns the exit status: 1 if one broke off.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=description)
    parser.add_argument(
        "--quick", action="store_true", help="small runs, to see that all works; their JSON is no figure"
    )
    parser.add_argument("--only", action="append", choices=list(quick), help="one of them; may be given again")
    options = parser.parse_args()
    failed = []
    for name in options.only or quick:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"{package}.{name}", *(quick[name] if options.quick else [])]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
    if failed:
        print(f"broke off: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
