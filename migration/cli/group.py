"""The `flask migration` group. A command's module is imported when the command is asked for.

A command is a module of this package with the same name (`-` written as `_`) whose `command` is a click command.
"""

from importlib import import_module

import click

COMMANDS = (
    "doctor",
    "dual-write",
    "copy",
    "verify",
    "cutover",
    "rollback",
    "finish",
    "status",
    "pause",
    "resume",
    "rejects",
    "history",
)


class _Commands(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found: click.Command = import_module(f"migration.cli.{name.replace('-', '_')}").command
        return found


@click.group("migration", cls=_Commands)
def migration_group() -> None:
    """Take the users of a legacy SQLite file to PostgreSQL while they keep using it, and back until `finish`."""
