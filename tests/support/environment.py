"""The environment of a service under test. All secrets here are samples, which production refuses."""

import os
from collections.abc import Mapping

JWT_SECRET = "sample-token-secret-for-tests-only-0123456789"
GATEWAY_API_KEY = "sample-key-of-the-gateway"
USER_API_KEY = "sample-key-of-the-user-service"
AUTH_API_KEY = "sample-key-of-the-auth-service"

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


def service_environment(values: Mapping[str, object] | None = None, **more: object) -> dict[str, str]:
    """Secrets, a cheap bcrypt and wide limits, then `values` and `more` (`redis_url=...` sets REDIS_URL).

    Nothing else comes from the shell: a variable that somebody has set must not change what a test sees.
    """
    environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environ |= {
        "APP_ENV": "test",
        "STACK_ENV_FILE": "",
        "PYTHONUNBUFFERED": "1",
        "JWT_SECRET": JWT_SECRET,
        "GATEWAY_API_KEYS": GATEWAY_API_KEY,
        "USER_API_KEYS": USER_API_KEY,
        "AUTH_API_KEYS": AUTH_API_KEY,
        "BCRYPT_COST": "4",
        "REDIS_TIMEOUT_MS": "500",  # a busy machine that runs tests is not an outage
        "DRAIN_NOTICE_SECONDS": "0",  # a test that stops services under traffic asks for it
        "RATE_LIMIT_DEFAULT": "60000 per minute",
        "RATE_LIMIT_CREDENTIALS": "60000 per minute",
    }
    given = {**(values or {}), **more}
    return environ | {name.upper(): str(value) for name, value in given.items()}
