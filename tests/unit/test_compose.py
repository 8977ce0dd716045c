"""The container files give every process the settings that it needs, and only secrets that are there."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.schema import PROJECT
from service_kit.settings import load, variables

DOCKER = PROJECT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
ROLES = {
    "gateway": "gateway",
    "user": "user",
    "user-events": "user",
    "auth": "auth",
    "auth-events": "auth",
    "worker": "worker",
    "beat": "worker",
    "flower": "worker",
}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    shutil.copy(DOCKER / "make-secrets.sh", tmp_path)
    subprocess.run(["sh", str(tmp_path / "make-secrets.sh")], check=True, capture_output=True)
    return tmp_path / "secrets"


def _environ(service: str, secrets: Path) -> dict[str, str]:
    given: dict[str, Any] = COMPOSE["services"][service]["environment"]
    mounted = COMPOSE["services"][service]["secrets"]
    environ = {}
    for name, value in given.items():
        if str(value).startswith("/run/secrets/"):
            secret = value.rpartition("/")[2]
            assert secret in mounted
            environ[name] = str(secrets / secret)
        elif not str(value).startswith("${"):
            environ[name] = str(value)
    return environ


@pytest.mark.parametrize("service", ROLES)
def test_each_process_starts_with_what_it_is_given(service: str, secrets: Path) -> None:
    settings = load(ROLES[service], _environ(service, secrets))
    assert settings.app_env == "production"


@pytest.mark.parametrize("role", ["user", "auth", "worker"])
def test_the_schema_job_may_run_every_history(role: str, secrets: Path) -> None:
    load(role, _environ("schema", secrets))


def test_no_process_is_given_a_secret_that_its_role_does_not_read() -> None:
    for service, role in ROLES.items():
        given = COMPOSE["services"][service]["environment"]
        files = {name.removesuffix("_FILE") for name in given if name.endswith("_FILE")}
        assert files <= set(variables(role)), service


def test_only_the_gateway_and_flower_are_published_and_only_on_this_machine() -> None:
    published = {name: each["ports"] for name, each in COMPOSE["services"].items() if "ports" in each}
    assert published == {"gateway": ["127.0.0.1:5000:5000"], "flower": ["127.0.0.1:5555:5555"]}


def test_making_the_secrets_again_changes_nothing(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run(["sh", str(secrets.parent / "make-secrets.sh")], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert set(COMPOSE["secrets"]) == set(before)
