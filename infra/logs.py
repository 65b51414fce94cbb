"""Structured logs: one JSON object a line, or readable lines, on standard error."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

_ROOT = "loopwatch"


class Logger:
    """A logger whose keyword arguments become fields of the line.

    Fields name things (topic, partition, offset, counts); values of events and secrets don't belong in them.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **fields: Any) -> None:
        """Detail for whoever looks for a fault."""
        self._logger.debug(message, extra={"fields": fields})

    def info(self, message: str, **fields: Any) -> None:
        """Something of note that went as it should."""
        self._logger.info(message, extra={"fields": fields})

    def warning(self, message: str, **fields: Any) -> None:
        """Something that went wrong and is being handled."""
        self._logger.warning(message, extra={"fields": fields})

    def error(self, message: str, **fields: Any) -> None:
        """Something that needs a person."""
        self._logger.error(message, extra={"fields": fields})

    def exception(self, message: str, exc: BaseException, **fields: Any) -> None:
        """An error nobody planned for, with where it came from."""
        self._logger.error(message, exc_info=exc, extra={"fields": fields})


def logger(name: str) -> Logger:
    """The logger of a module: ``log = logger(__name__)``."""
    return Logger(name)


def configure_logs(level: str = "INFO", style: str = "json") -> None:
    """Send logs to standard error: `style` json or text. Libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if style == "json" else _TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level.upper())


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        text = f"{at} {record.levelname.lower():7} {record.getMessage()}{fields}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
