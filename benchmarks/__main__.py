"""All figures of the loop but the long ones, in turn: ``python -m benchmarks`` (``make bench``).

Throughput beside its peers, latency from produce to queryable, memory of a pending prediction: a table each, and JSON
in ``benchmarks/results/``. What takes longer is run by itself: ``python -m benchmarks.soak``,
``python -m benchmarks.faults``; so are detectors: ``python -m benchmarks.detection``.
"""

import sys

from .in_turn import in_turn

QUICK = {
    "throughput": ["--events", "60000", "--small-events", "6000", "--repeats", "1"],
    "latency": ["--seconds", "10"],
    "memory": ["--predictions", "100000"],
}

if __name__ == "__main__":
    sys.exit(in_turn("benchmarks", __doc__, QUICK))
