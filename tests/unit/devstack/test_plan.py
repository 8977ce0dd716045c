"""The processes of a stack, and what each of them gets to know."""

from pathlib import Path

from devstack import environment, plan

VALUES = {
    "USER_DATABASE_URL": "postgresql://u",
    "AUTH_DATABASE_URL": "postgresql://a",
    "MIGRATION_DATABASE_URL": "postgresql://m",
    "REDIS_URL": "redis://r",
    "JWT_SECRET": "secret",
    "USER_API_KEYS": "key",
}


def _port(what: str, number: int) -> int:
    return {"gateway": 5000, "gateway_metrics": 5090, "user": 5001, "auth": 5002, "flower": 5555}[
        what
    ] + 100 * (number - 1)


def _specs(kinds: tuple[str, ...] = plan.KINDS, **instances: int) -> dict[str, plan.Spec]:
    return {spec.name: spec for spec in plan.specs(kinds, instances, plan.Layout(Path("/home"), _port))}


def test_the_whole_stack_has_these_processes() -> None:
    names = "gateway-1 user-1 auth-1 user-events auth-events worker-1 beat flower"
    assert list(_specs()) == names.split()


def test_further_instances_have_ports_of_their_own_and_the_same_role() -> None:
    specs = _specs(("gateway", "user"), user=2, gateway=2)
    assert list(specs) == ["gateway-1", "gateway-2", "user-1", "user-2"]
    assert specs["user-2"].ports == {"USER_PORT": 5101}
    assert specs["gateway-2"].ports == {"GATEWAY_PORT": 5100, "GATEWAY_METRICS_PORT": 5190}
    assert specs["user-2"].role == "user"


def test_the_gateway_is_told_of_every_instance() -> None:
    values = environment.addresses(_specs(user=2).values())
    assert values["USER_SERVICE_URLS"] == "http://127.0.0.1:5001,http://127.0.0.1:5101"
    assert values["AUTH_SERVICE_URLS"] == "http://127.0.0.1:5002"
    assert values["USER_PORT"] == "5001"


def test_an_instance_gets_its_own_port() -> None:
    spec = _specs(user=2)["user-2"]
    assert environment.of_process(spec, VALUES | {"USER_PORT": "5001"}, {})["USER_PORT"] == "5101"


def test_two_processes_know_the_token_secret() -> None:
    specs = _specs()
    knowing = {name for name in specs if "JWT_SECRET" in environment.of_process(specs[name], VALUES, {})}
    assert knowing == {"gateway-1", "auth-1", "auth-events"}


def test_a_service_is_not_told_the_other_ones_database() -> None:
    specs = _specs()
    assert "AUTH_DATABASE_URL" not in environment.of_process(specs["user-1"], VALUES, {})
    assert "USER_DATABASE_URL" not in environment.of_process(specs["auth-1"], VALUES, {})
    assert not {name for name in environment.of_process(specs["gateway-1"], VALUES, {}) if "DATABASE" in name}


def test_settings_in_the_shell_reach_a_process_only_through_the_stack() -> None:
    shell = {"JWT_SECRET": "shell", "JWT_SECRET_FILE": "/x", "PATH": "/bin", "USER_DATABASE_URL": "shell"}
    own = environment.of_process(_specs()["user-1"], VALUES, shell)
    assert own["PATH"] == "/bin"
    assert own["USER_DATABASE_URL"] == "postgresql://u"
    assert not {"JWT_SECRET", "JWT_SECRET_FILE"} & own.keys()


def test_a_command_gets_all_settings() -> None:
    own = environment.of_command(VALUES, {"JWT_SECRET": "shell", "HOME": "/h"})
    assert own == VALUES | {"HOME": "/h", "STACK_ENV_FILE": ""}


def test_a_gateway_for_the_whole_network_is_asked_on_this_machine() -> None:
    for host, url in (
        ("0.0.0.0", "http://127.0.0.1:5000"),
        ("::", "http://[::1]:5000"),
        ("10.0.0.7", "http://10.0.0.7:5000"),
    ):
        layout = plan.Layout(Path("/home"), _port, gateway_host=host)
        assert plan.specs(("gateway",), {}, layout)[0].url == url
