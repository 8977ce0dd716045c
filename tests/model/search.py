"""Breadth-first search over every state of a small model: the schedule printed for a violation is a shortest one."""

import time
from array import array
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

PLAIN, CRASH, OPERATOR = range(
    3
)  # a step of a running process | a process dies | an operator starts something

STUCK = "stuck: no crash-free schedule reaches a quiet state"
STUCK_ALONE = "waits for an operator: nobody else can lead to a quiet state"

Step = tuple[
    int, str, str, Hashable
]  # kind, action (a key of actions.ACTIONS), what happens, the state after it


class Model(NamedTuple):
    """What is explored. `broken` names the promise that a state breaks; `quiet` marks the states that must stay
    reachable without a crash from every state (None: not asked)."""

    initial: Hashable
    steps: Callable[[object], Iterable[Step]]
    broken: Callable[[object], str | None]
    quiet: Callable[[object], bool] | None = None


@dataclass
class Outcome:
    """What a search saw. `violation` is None when every state keeps every promise; `complete` is False when the
    limit on states ended the search."""

    states: int = 0
    edges: int = 0
    violation: str | None = None
    schedule: list[str] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = True
    actions: set[str] = field(default_factory=set)


class _Graph:
    """The states found so far, in order, with the state that each was found from, and the edges backwards."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.order: list[Hashable] = []
        self.parent = array("l")
        self.number: dict[Hashable, int] = {}
        self.source, self.target, self.operator = array("I"), array("I"), array("B")

    def add(self, state: Hashable, parent: int) -> int:
        self.number[state] = number = len(self.order)
        self.order.append(state)
        self.parent.append(parent)
        return number

    def edge(self, source: int, target: int, kind: int) -> None:
        self.source.append(source)
        self.target.append(target)
        self.operator.append(kind == OPERATOR)

    def schedule(self, number: int) -> list[str]:
        """The steps that lead to a state, found again from state to state."""
        found = []
        while self.parent[number] >= 0:
            before = self.parent[number]
            for _, action, text, state in self.model.steps(self.order[before]):
                if state == self.order[number]:
                    found.append(f"{action}: {text}")
                    break
            number = before
        return found[::-1]

    def without_way_out(self, operators: bool) -> int:
        """A state from which no quiet state is reachable without a crash, or -1."""
        count = len(self.order)
        head, following = array("l", [-1]) * count, array("l", [-1]) * len(self.source)
        for edge, target in enumerate(self.target):
            if operators or not self.operator[edge]:
                following[edge] = head[target]
                head[target] = edge
        assert self.model.quiet is not None
        todo = [number for number in range(count) if self.model.quiet(self.order[number])]
        reached = bytearray(count)
        for number in todo:
            reached[number] = 1
        while todo:
            edge = head[todo.pop()]
            while edge >= 0:
                source = self.source[edge]
                if not reached[source]:
                    reached[source] = 1
                    todo.append(source)
                edge = following[edge]
        return reached.find(0)


def explore(model: Model, limit: int = 5_000_000, only: str | None = None) -> Outcome:
    """Every reachable state of the model, or the first violation (of a promise that starts with `only`)."""
    outcome, started = Outcome(), time.monotonic()
    graph = _Graph(model)
    bad = _walk(graph, outcome, limit, only)
    if bad is None and model.quiet is not None and outcome.complete:
        for operators, text in ((True, STUCK), (False, STUCK_ALONE)):
            if only is None or text.startswith(only):
                stuck = graph.without_way_out(operators)
                if stuck >= 0:
                    bad, outcome.violation = stuck, text
                    break
    if bad is not None:
        outcome.schedule = graph.schedule(bad)
    outcome.states = len(graph.order)
    outcome.seconds = time.monotonic() - started
    return outcome


def _walk(graph: _Graph, outcome: Outcome, limit: int, only: str | None) -> int | None:
    """Fill the graph; returns the number of the first state that breaks a promise."""
    model, order, number = graph.model, graph.order, graph.number

    def breaks(state: Hashable) -> bool:
        outcome.violation = model.broken(state)
        if outcome.violation and only is not None and not outcome.violation.startswith(only):
            outcome.violation = None
        return outcome.violation is not None

    graph.add(model.initial, -1)
    if breaks(model.initial):
        return 0
    at = 0
    while at < len(order):
        for kind, action, _, state in model.steps(order[at]):
            outcome.edges += 1
            found = number.get(state)
            if found is None:
                outcome.actions.add(action)
                found = graph.add(state, at)
                if breaks(state):
                    return found
            if model.quiet is not None and kind != CRASH and found != at:
                graph.edge(at, found, kind)
        at += 1
        if at >= limit:
            outcome.complete = False
            break
    return None
