"""Every figure of detectors, in turn: ``python -m benchmarks.detection`` (``make bench-detection``); 80 minutes.

False alarms and power of drift against a reference beside Evidently; concept drift beside River; anomalies by NAB's
rules beside River; anomalies of simulated models, and of their single predictions; speed of drift beside Evidently, and
of each detector. A table each, and JSON in ``benchmarks/results/``.
"""

import sys

from ..in_turn import in_turn

QUICK = {
    "false_alarms": ["--windows", "20"],
    "concept": ["--trials", "2"],
    "anomalies": ["--detector", "Loopwatch"],
    "operations": ["--trials", "1", "--nulls", "1"],
    "events": ["--weeks", "1", "--bursts", "1"],
    "drift_speed": ["--columns", "50", "--rows", "10000", "--repeats", "1"],
    "speed": [],
}

if __name__ == "__main__":
    sys.exit(in_turn("benchmarks.detection", __doc__, QUICK))
