"""Whether what is left follows from what was done: no acknowledged write lost, nothing resurrected, nothing extra.

Every writer notes what it is about to do, what its transaction did to which key and field, and that it was told of the
commit. A stored value is explained when some write put it there that no other acknowledged write of the same field,
begun after that one had ended, has replaced. A write that nobody was told about ended when its process was gone.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.faults.harness.legacy import FIELDS, Row

ABSENT = "<absent>"
ANY = "<any>"  # what a store has filled in by itself
ANYWHERE = "*"  # the key of a row whose number the writer has not been told
FOREVER = float("inf")


@dataclass
class Write:
    """One transaction of one writer. `end` is when it was acknowledged, or when it can no longer take effect."""

    name: str
    begin: float
    end: float = FOREVER
    acknowledged: bool = False
    refused: bool = False
    effects: dict[tuple[int, str], Any] = field(default_factory=dict)
    anywhere: dict[str, Any] = field(default_factory=dict)

    def explains(self, cell: tuple[int, str], value: Any) -> bool:
        """Whether this write may have put the value there."""
        wanted = self.effects.get(cell, self.anywhere.get(cell[1], self))
        return wanted == value or (wanted == ANY and value is not ABSENT)


def writes_of(records: list[dict[str, Any]], initial: dict[int, Row]) -> list[Write]:
    """The writes that the history tells of, behind one that made the initial rows."""
    first = Write("the first rows", 0.0, 0.0, acknowledged=True, effects=_whole(initial))
    found: dict[str, Write] = {}
    ended: dict[str, float] = {}
    for record in records:
        what = record["what"]
        if what == "ended":
            ended[record["role"]] = record["t"] + 0.5
        elif what == "begin":
            found[record["op"]] = Write(record["op"], record["t"])
        elif what == "effects":
            _note_effects(found[record["op"]], record["rows"])
        elif what == "ack":
            found[record["op"]].end, found[record["op"]].acknowledged = record["t"], True
        elif what == "refused":
            found[record["op"]].refused = True
    for write in found.values():
        if not write.acknowledged:
            write.end = ended.get(write.name.rpartition("/")[0], FOREVER)
    return [first, *found.values()]


def _whole(rows: dict[int, Row]) -> dict[tuple[int, str], Any]:
    return {(key, name): value for key, row in rows.items() for name, value in zip(FIELDS, row, strict=True)}


def _note_effects(write: Write, rows: list[list[Any]]) -> None:
    """`rows`: [key, null] for a row that went, [key, {field: value}] for what was written. The last word counts: a
    transaction that was begun again says it anew."""
    write.effects, write.anywhere = {}, {}
    for key, values in rows:
        if values is None:
            write.effects.update({(key, name): ABSENT for name in FIELDS})
        elif key == ANYWHERE:
            write.anywhere = values
        else:
            write.effects.update({(key, name): value for name, value in values.items()})


def unexplained(rows: dict[int, Row], writes: list[Write]) -> list[str]:
    """Every stored (or missing) value that no write explains; empty when all is well."""
    by_cell: defaultdict[tuple[int, str], list[Write]] = defaultdict(list)
    possible = [write for write in writes if not write.refused]
    for write in possible:
        for cell in write.effects:
            by_cell[cell].append(write)
    nameless = [write for write in possible if write.anywhere]
    stored = _whole(rows)
    first = writes[0]
    faults = []
    for cell in sorted(stored.keys() | by_cell.keys()):
        value = stored.get(cell, ABSENT)
        sources = [
            (write.end, write.name) for write in (*by_cell[cell], *nameless) if write.explains(cell, value)
        ]
        if cell not in first.effects and cell not in stored:
            sources.append((0.0, first.name))
        fault = _fault(cell, value, sources, by_cell[cell])
        if fault:
            faults.append(fault)
    return faults


def _fault(
    cell: tuple[int, str], value: Any, sources: list[tuple[float, str]], writes: list[Write]
) -> str | None:
    newest = max(
        (write for write in writes if write.acknowledged), key=lambda write: write.begin, default=None
    )
    where = f"user {cell[0]} {cell[1]}: {value!r}"
    if not sources:
        return f"{where} was written by nobody"
    if newest is not None and max(sources)[0] < newest.begin:
        return (
            f"{where} of {max(sources)[1]}, but {newest.name} has written {newest.effects[cell]!r} after it"
        )
    return None
