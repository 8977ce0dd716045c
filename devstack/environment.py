"""Who gets which environment variables."""

from collections.abc import Iterable, Mapping

from devstack.plan import Spec
from service_kit.settings import variables


def addresses(specs: Iterable[Spec]) -> dict[str, str]:
    """Where the services are: every instance in `USER_SERVICE_URLS`, the first one's port in `USER_PORT`."""
    values: dict[str, str] = {}
    urls: dict[str, list[str]] = {"user": [], "auth": []}
    for spec in specs:
        if spec.kind in urls:
            urls[spec.kind].append(spec.url)
        for variable, port in spec.ports.items():
            values.setdefault(variable, str(port))
    return values | {f"{kind.upper()}_SERVICE_URLS": ",".join(known) for kind, known in urls.items() if known}


def of_process(spec: Spec, values: Mapping[str, str], shell: Mapping[str, str]) -> dict[str, str]:
    """Only the settings that the process's role reads: the signing secret, for one, goes to two of them."""
    known = variables(spec.role)
    own = {name: value for name, value in values.items() if name in known}
    ports = {variable: str(port) for variable, port in spec.ports.items()}
    return _without_settings(shell) | own | ports | {"STACK_ENV_FILE": "", "PYTHONUNBUFFERED": "1"}


def of_command(values: Mapping[str, str], shell: Mapping[str, str]) -> dict[str, str]:
    """All settings, for commands that a person would run in the project's folder."""
    return {**_without_settings(shell), **values, "STACK_ENV_FILE": ""}


def _without_settings(shell: Mapping[str, str]) -> dict[str, str]:
    known = variables()
    ours = {*known, *(f"{name}_FILE" for name in known)}
    return {name: value for name, value in shell.items() if name not in ours}
