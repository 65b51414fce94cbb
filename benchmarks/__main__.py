"""All figures but the long ones, in turn: ``python -m benchmarks`` (``make bench``).

Throughput beside its peers, latency from produce to queryable, memory of a pending prediction: a table each, and JSON
in ``benchmarks/results/``. Each runs in a process of its own; status 1 if one broke off. The soak and the faults take
longer and are run by themselves: ``python -m benchmarks.soak``, ``python -m benchmarks.faults``.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from .throughput import ROOT

BENCHMARKS = ("throughput", "latency", "memory")
_QUICK = {
    "throughput": ["--events", "60000", "--small-events", "6000", "--repeats", "1"],
    "latency": ["--seconds", "10"],
    "memory": ["--predictions", "100000"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small runs, to see that all works; their JSON is no figure"
    )
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="one of them; may be given again")
    options = parser.parse_args(arguments)
    failed = []
    for name in options.only or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(_QUICK[name] if options.quick else [])]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
    if failed:
        print(f"broke off: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
