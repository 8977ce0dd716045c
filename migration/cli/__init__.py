"""The `flask migration` commands: one module each, found by their names in `migration.cli.group`."""
