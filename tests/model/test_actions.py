"""The models stay models of this code: every action is done by functions that are there, and is explored."""

import importlib
from functools import reduce

import pytest

from tests.model.actions import ACTIONS, ENVIRONMENT
from tests.model.every import RUNS

NAMES = sorted({name for names in ACTIONS.values() for name in names})


@pytest.mark.parametrize("name", NAMES)
def test_the_function_behind_an_action_is_there(name: str) -> None:
    module, _, attribute = name.partition(":")
    assert callable(reduce(getattr, attribute.split("."), importlib.import_module(module)))


COVERING = (
    "copy to cutover: applier, 2 chunks, redelivery, deletes, crash",
    "cutover: 2 coordinators, stale requests, reads, crash",
    "rollback, undo, finish: 2 coordinators, crash",
    "cutover and rollback: an older copy of the file, put back later, crash",
    "registration: 2 clients, cutover, rollback, cutover",
    "2 keys, 2 appliers, pruned log, chunk",
    "head start: 2 drains, applier, chunk, cutover, rollback, cutover, crash",
    "reverse log: entries are consumed",
    "verify and repair: 2 passes, a corruption, cutover, rollback",
    "events: 4 transactions, 2 sequencers, a poisoned event, crash",
)


def test_every_action_is_explored_and_has_a_function() -> None:
    explored = {run.name: run.explore().actions for run in RUNS if run.name in COVERING}
    assert explored.keys() == set(COVERING)
    assert set().union(*explored.values()) == ACTIONS.keys() | ENVIRONMENT
