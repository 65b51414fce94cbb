"""What NannyML says of each chunk. It can't live beside current pandas, so it has an environment of its own."""

import os
import subprocess
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ..peer_environment import peer_environment
from .stream import CHUNK, METRICS, Stream, references

_PINS = Path(__file__).with_name("nannyml.txt")


def pins() -> list[str]:
    """The versions that are compared with."""
    return _PINS.read_text(encoding="utf-8").split()


def environment() -> Path:
    """Python of the environment with the versions of ``nannyml.txt``."""
    return peer_environment("nannyml", _PINS)


def estimates(python: Path, stream: Stream, *, refreshed: bool) -> list[list[float]]:
    """Each chunk's metrics by CBPE, fitted to the labels known at the beginning, or at the end of each chunk."""
    tasks = [
        {"reference": [stream.reference_us, before, known_by], "chunk": [chunk.since_us, chunk.until_us]}
        for chunk, before, known_by in references(stream, refreshed=refreshed)
    ]
    columns = {"made_us": stream.made_us, "known_us": stream.known_us, "score": stream.score}
    columns |= {"said": stream.said.astype(np.int64), "positive": stream.positive.astype(np.int64)}
    with tempfile.TemporaryDirectory(prefix="loopwatch-cbpe-") as directory:
        rows, answer = Path(directory, "rows.parquet"), Path(directory, "answer.json")
        parquet.write_table(pa.table(columns), rows)
        request = {"rows": str(rows), "answer": str(answer), "tasks": tasks, "metrics": METRICS, "chunk_size": CHUNK}
        # It would tell its makers that it was used.
        quiet = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1"}
        script = [str(python), str(Path(__file__).with_name("cbpe.py"))]
        subprocess.run(script, input=msgspec.json.encode(request), env=quiet, check=True)
        return msgspec.json.decode(answer.read_bytes())["estimates"]
