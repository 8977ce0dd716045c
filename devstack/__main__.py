"""`python -m devstack up | down | reset | status`: what `make up` and its siblings run."""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from devstack import sample
from devstack.errors import StackError
from devstack.schema import PROJECT
from devstack.stack import Stack


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 not done (the reason is on standard error), 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="devstack", description="The whole stack on this machine.")
    parser.add_argument("command", choices=("up", "down", "reset", "status"))
    parser.add_argument(
        "--home", type=Path, default=PROJECT / ".run", help="folder of the stack (default: .run)"
    )
    parser.add_argument(
        "--free-ports", action="store_true", help="any free ports instead of the well-known ones"
    )
    options = parser.parse_args(arguments)
    stack = Stack(options.home, ports="free" if options.free_ports else None, say=_say)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return {"up": _up, "down": _down, "reset": _reset, "status": _status}[options.command](stack)
    except (StackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. `make up` goes on from here, `make down` stops what runs.", file=sys.stderr)
        return 130


def _up(stack: Stack) -> int:
    began = time.monotonic()
    _say("Starting ...")
    stack.up()
    _say(f"All of it is healthy after {time.monotonic() - began:.1f} s.\n")
    for line in _summary(stack):
        _say(line)
    return 0


def _summary(stack: Stack) -> list[str]:
    values = stack.values
    legacy = values["LEGACY_SQLITE_PATH"]
    if legacy == str(stack.home / "legacy" / "users.db"):
        legacy += f"\n               a sample: user1@example.com and on, password {sample.PASSWORD}"
    return [
        f"  API          {stack.url('gateway-1')}/api/health",
        f"  reference    {stack.url('gateway-1')}/api/docs",
        f"  metrics      http://127.0.0.1:{values['GATEWAY_METRICS_PORT']}/metrics",
        f"  user service {stack.url('user-1')}",
        f"  auth service {stack.url('auth-1')}",
        f"  Flower       {stack.url('flower')}",
        f"  PostgreSQL   {_without_password(values['USER_DATABASE_URL'])}",
        f"               {_without_password(values['AUTH_DATABASE_URL'])}",
        f"               {_without_password(values['MIGRATION_DATABASE_URL'])}",
        f"  Redis        {_without_password(values['REDIS_URL'])}",
        f"  legacy file  {legacy or 'none: PostgreSQL alone'}",
        f"  settings     {stack.home / 'stack.env'} (with passwords and keys)",
        f"  logs         {stack.home / 'logs'}",
    ]


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    scheme, _, account = before.partition("://")
    return f"{scheme}://{account.partition(':')[0]}{at}{after}" if at else url


def _down(stack: Stack) -> int:
    stack.down()
    _say("Stopped.")
    return 0


def _reset(stack: Stack) -> int:
    stack.reset()
    _say("Stopped, and its data is removed.")
    return 0


def _status(stack: Stack) -> int:
    if not (stack.home / "stack.env").exists():
        _say("This stack has never been up.")
        return 1
    ailments = stack.ailments()
    for name, ailment in ailments.items():
        member = stack.members[name]
        state = f"not healthy: {ailment}" if ailment else f"healthy, process {member.pid}"
        _say(f"  {name:<12} {state}  {member.spec.url}")
    return 1 if any(ailments.values()) else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
