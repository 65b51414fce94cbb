"""Reads JSON Lines: one event a line, in UTF-8; empty lines are skipped."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..schemas.errors import SettingsError
from .raw_records import RawRecord

_BOM = b"\xef\xbb\xbf"


class JsonLines:
    """The records of a file, plain or gzipped. No more than a line of `max_bytes` and a byte is held in memory.

    Of a longer line only its first `max_bytes` + 1 bytes are given, which the decoder then refuses as too large.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open the file.

        Raises:
            SettingsError: it cannot be opened.
        """
        self.path = path
        self._max_bytes = max_bytes
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as exc:
            raise SettingsError(f"{path}: cannot be read: {exc.strerror}") from exc
        self.position = 0

    def __iter__(self) -> Iterator[RawRecord]:
        """The records, once.

        Raises:
            SettingsError: the file breaks off (a damaged archive, a failing disk).
        """
        with self._file as file:
            zipped = self.path.suffix.lower() == ".gz"
            lines = gzip.GzipFile(fileobj=file) if zipped else file
            number = 0
            try:
                while line := lines.readline(self._max_bytes + 1):
                    number += 1
                    rest = line
                    while not rest.endswith(b"\n") and (rest := lines.readline(self._max_bytes + 1)):
                        pass
                    self.position = file.tell()
                    line = line.removeprefix(_BOM) if number == 1 else line
                    if not line.isspace() and line:
                        yield RawRecord(number, line)
            except (OSError, EOFError, zlib.error) as exc:
                raise SettingsError(f"{self.path}:{number + 1}: cannot be read any further: {exc}") from exc
