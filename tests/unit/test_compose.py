"""docker-compose.yml is a valid Compose file and says what the code, the broker jars and the embedded engine say."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from loopwatch.infra.kafka_jars import kafka_version
from loopwatch.infra.settings import Settings, variable_of

from tests.compose_file import COMPOSE_FILE, PASSWORDS, REPOSITORY, compose, variables

USERS_FILE = REPOSITORY / "infra/docker/clickhouse/users.xml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose()["services"]


def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_has_the_broker_the_database_their_set_up_and_the_worker(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "clickhouse", "setup", "worker", "alerter"}


@pytest.mark.parametrize("service", ["setup", "worker", "alerter"])
def test_every_setting_it_gives_is_one_that_the_code_reads(services: dict[str, Any], service: str) -> None:
    environment = services[service]["environment"]
    known = {variable_of(name) for name in Settings.__struct_fields__}
    assert set(environment) <= known

    settings = Settings.load(environment)

    assert settings.kafka_bootstrap == "kafka:19092"
    assert settings.clickhouse_url == "http://clickhouse:8123"
    assert (settings.clickhouse_user, settings.clickhouse_password) == ("loopwatch_writer", "writer's")
    assert (settings.partitions, settings.replication_factor) == (4, 1)


def test_programs_on_the_host_reach_the_services_at_the_addresses_that_are_the_defaults(
    services: dict[str, Any],
) -> None:
    defaults = Settings()
    assert services["kafka"]["ports"] == [f"{defaults.kafka_bootstrap}:9092"]
    assert services["clickhouse"]["ports"] == [f"{defaults.clickhouse_url.removeprefix('http://')}:8123"]


def test_kafka_tells_containers_and_the_host_an_address_each_can_reach() -> None:
    kafka = compose(KAFKA_PORT="19999")["services"]["kafka"]
    advertised = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert advertised == ["PLAINTEXT://kafka:19092", "EXTERNAL://127.0.0.1:19999"]
    assert kafka["ports"] == ["127.0.0.1:19999:9092"]
    assert "EXTERNAL://:9092" in kafka["environment"]["KAFKA_LISTENERS"]


def test_kafka_is_the_version_that_the_tests_run_on(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_clickhouse_is_the_release_of_the_embedded_engine(services: dict[str, Any]) -> None:
    # In a process of its own: chDB gives a process one engine, which other tests may want elsewhere.
    program = "import chdb; print(chdb.query('SELECT version()', 'TSVRaw'), end='')"
    version = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    release = ".".join(version.stdout.split(".")[:2])
    assert services["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{release}"


def test_a_worker_can_be_added_any_number_of_times(services: dict[str, Any]) -> None:
    assert not {"container_name", "ports", "hostname"} & set(services["worker"])


def test_services_that_stay_are_checked_and_started_again_and_the_set_up_runs_once(services: dict[str, Any]) -> None:
    for name in ("kafka", "clickhouse", "worker"):
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    assert services["setup"]["restart"] == "no"
    ready = {"condition": "service_healthy"}
    assert services["setup"]["depends_on"] == {"kafka": ready, "clickhouse": ready}
    assert services["worker"]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}


def test_nothing_runs_as_root_or_may_become_it(services: dict[str, Any]) -> None:
    assert services["kafka"]["user"] == "appuser"
    assert services["clickhouse"]["user"] == "101:101"
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service.get("privileged", False) is False, name


def test_data_is_kept_in_named_volumes_and_mounted_files_exist(services: dict[str, Any]) -> None:
    document = compose()
    mounts = [mount.split(":") for service in services.values() for mount in service.get("volumes", [])]
    files = [Path(source) for source, *_ in mounts if source.startswith(".")]
    assert {source for source, *_ in mounts if not source.startswith(".")} == set(document["volumes"])
    files += [Path(config["file"]) for config in document["configs"].values()]
    assert len(files) == 2
    assert [str(file) for file in files if not (REPOSITORY / file).is_file()] == []


def test_passwords_must_be_given_and_the_example_names_every_variable() -> None:
    example = (REPOSITORY / "infra/docker/env.example").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ").partition("=") for line in example.splitlines() if "=" in line]
    assert {name: value or None for name, _, value in lines} == variables()
    assert {name for name, default in variables().items() if default is None} == set(PASSWORDS)


def test_clickhouse_has_a_writer_and_a_reader_and_no_user_without_a_password(services: dict[str, Any]) -> None:
    users = ET.parse(USERS_FILE).find("users")
    assert users is not None
    default, writer, reader = users
    assert (default.tag, default.attrib) == ("default", {"remove": "remove"})
    for user in (writer, reader):
        password = user.find("password")
        assert password is not None
        assert (password.text, services["clickhouse"]["environment"][password.attrib["from_env"]]) != (None, "")
    assert writer.tag == services["worker"]["environment"]["LOOPWATCH_CLICKHOUSE_USER"]
    granted = " ".join(grant.text or "" for grant in reader.iterfind("grants/query"))
    assert "SELECT" in granted
    assert not {"INSERT", "ALL", "ALTER", "DROP", "CREATE"} & set(granted.replace(",", " ").split())


@pytest.mark.parametrize("service", ["setup", "worker", "alerter"])
def test_the_commands_it_runs_exist(services: dict[str, Any], service: str) -> None:
    command = services[service]["command"]
    lines = [f"loopwatch {command[0]}"] if service != "setup" else command[0].split(" && ")
    for line in lines:
        _, *words = line.split()
        program = [sys.executable, "-c", "from loopwatch.console.cli import main; main()", *words, "--help"]
        asked = subprocess.run(program, capture_output=True, text=True, timeout=60)
        assert asked.returncode == 0, f"{line}: {asked.stderr}"
