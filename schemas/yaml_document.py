"""YAML that people write: plain data only, no duplicate keys, nothing that explodes."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError

MAX_BYTES = 1 << 20
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys, aliases (so no bombs), and depth."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not read: write the value out", problem_mark=self.peek_event().start_mark
            )
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=self.peek_event().start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is there twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> object:
    """The document in `path`: dicts, lists and scalars; None for an empty file.

    Raises:
        ConfigError: it can't be read, is larger than a megabyte, or is no YAML we take; with line and column.
    """
    source = path.name
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError("", f"cannot be read: {exc.strerror or exc}", source=str(path)) from exc
    if len(content) > MAX_BYTES:
        raise ConfigError("", f"is larger than {MAX_BYTES:,} bytes", source=source)
    try:
        loader = _Loader(content.decode())
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except UnicodeDecodeError as exc:
        raise ConfigError("", f"is not UTF-8 text (byte {exc.start})", source=source) from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(where, exc.problem or exc.context or "is not YAML", source=source) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        # ValueError: a date such as 2024-99-99, which SafeLoader tries to build.
        raise ConfigError("", f"is not YAML: {' '.join(str(exc).split())[:200]}", source=source) from exc
