"""Both sides, row by row and field by field."""

from tests.faults.harness.legacy import FIELDS, Row


def differences(in_file: dict[int, Row], in_databases: dict[int, Row]) -> list[str]:
    """What the file and the databases hold differently; empty when they are equal."""
    found = [f"user {key} is in the file only" for key in sorted(in_file.keys() - in_databases.keys())]
    found += [f"user {key} is in the databases only" for key in sorted(in_databases.keys() - in_file.keys())]
    for key in sorted(in_file.keys() & in_databases.keys()):
        for name, one, two in zip(FIELDS, in_file[key], in_databases[key], strict=True):
            if one != two or type(one) is not type(two):
                found.append(f"user {key} {name}: {one!r} in the file, {two!r} in the databases")
    return found
