"""infra/Dockerfile builds from files that are there, and its image has no compiler, no root, and a working check."""

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loopwatch.infra.settings import Settings, variable_of

from tests.compose_file import REPOSITORY, compose

DOCKERFILE = REPOSITORY / "infra/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions as (name, arguments), continued lines joined, comments left out."""
    text = "\n".join(line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    return [(name, arguments) for name, _, arguments in (line.partition(" ") for line in lines)]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def test_it_builds_in_one_stage_and_runs_in_another_of_the_same_pinned_python() -> None:
    images = [arguments.split()[0] for name, arguments in instructions() if name == "FROM"]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.1[123]-slim-\w+", images[0])


def test_the_image_runs_as_its_own_user_without_a_compiler() -> None:
    stage = final_stage()
    assert [arguments for name, arguments in stage if name == "USER"] == ["loopwatch"]
    assert not any("apt-get" in arguments or "pip install" in arguments for name, arguments in stage if name == "RUN")


def test_the_settings_of_the_image_are_known_to_the_code() -> None:
    given = re.findall(
        r"(LOOPWATCH_\w+)=(\S+)", " ".join(arguments for name, arguments in final_stage() if name == "ENV")
    )
    assert {name for name, _ in given} <= {variable_of(name) for name in Settings.__struct_fields__}
    settings = Settings.load(dict(given))
    assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 9464)


def test_everything_it_copies_exists_and_every_package_goes_into_the_build() -> None:
    copied = [arguments.split() for name, arguments in instructions() if name == "COPY"]
    sources = [source for words in copied if not words[0].startswith("--") for source in words[:-1]]
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []

    ignored = (REPOSITORY / "infra/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packages = set(project["tool"]["setuptools"]["package-dir"].values())
    assert let_in >= packages | {"pyproject.toml", *project["project"]["license-files"], project["project"]["readme"]}


def test_the_health_check_passes_on_200_and_fails_on_503_and_on_silence() -> None:
    (check,) = [arguments for name, arguments in final_stage() if name == "HEALTHCHECK"]
    in_image = json.loads(check.partition("CMD ")[2])
    worker = compose()["services"]["worker"]
    _, *in_compose = worker["healthcheck"]["test"]
    assert in_image == in_compose

    _, *arguments = in_image
    port = worker["environment"]["LOOPWATCH_METRICS_PORT"]
    for status, expected in ((200, 0), (503, 1), (None, 1)):
        with health_server(status) as actual_port:
            command = [argument.replace(f":{port}/", f":{actual_port}/") for argument in arguments]
            assert command != arguments
            assert subprocess.run([sys.executable, *command], capture_output=True, timeout=30).returncode == expected


@contextmanager
def health_server(status: int | None) -> Iterator[int]:
    """Serve `/health` with `status` and yield the port; for None, yield a port that nothing listens on any more."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response((status or 500) if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        if status is None:
            server.server_close()
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
