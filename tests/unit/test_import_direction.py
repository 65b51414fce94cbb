"""The direction of imports (DESIGN §2): schemas ← detectors, infra ← producers, stream_processors ← console."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "schemas": set[str](),
    "detectors": {"schemas"},
    "infra": {"schemas"},
    "producers": {"schemas", "infra"},
    "stream_processors": {"schemas", "detectors", "infra"},
    "console": {"schemas", "detectors", "infra", "producers", "stream_processors"},
}


def imported_folders(path: Path) -> Iterator[str]:
    """Our top-level folders that a file imports from, relatively or as `loopwatch.…`."""
    here = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            kept = ("loopwatch", *here)[: len(here) + 2 - node.level]
            module = ".".join([*kept, *(node.module or "").split(".")]).rstrip(".")
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "loopwatch" and rest:
                yield rest.partition(".")[0]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_from_those_below_it(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    imports = {(path.relative_to(ROOT), to) for path in files for to in imported_folders(path) if to != folder}
    assert {(path, to) for path, to in imports if to not in MAY_IMPORT[folder]} == set()


def test_the_imports_are_found_at_all() -> None:
    files = [(folder, path) for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py")]
    found = {(folder, to) for folder, path in files for to in imported_folders(path)}
    assert {("infra", "schemas"), ("stream_processors", "infra"), ("console", "stream_processors")} <= found


def test_the_pure_join_knows_no_service() -> None:
    services = ("faust", "aiokafka", "confluent_kafka", "clickhouse_connect", "pyarrow", "asyncio", "time")
    files = sorted((ROOT / "stream_processors" / "join").glob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not [name for name in names if name.partition(".")[0] in services], path
