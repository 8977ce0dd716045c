"""Waits until the processes of a stack are healthy, and says who is to blame when they are not."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from devstack import health
from devstack.errors import StackError
from devstack.member import Member

HEALTHY_SECONDS = 90.0


def ailments(members: list[Member], values: Mapping[str, str]) -> dict[str, str]:
    """For each process what is wrong with it, empty when nothing is. `values`: the settings of the stack."""
    with ThreadPoolExecutor(len(members) or 1) as pool:
        findings = pool.map(lambda member: _ailment(member, values), members)
        return dict(zip((each.name for each in members), findings, strict=True))


def until_healthy(members: list[Member], values: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Waits for all at the same time; StackError with the end of the guilty one's log when one does not get well."""
    given_up = threading.Event()

    def attend(member: Member) -> str:
        finding = health.wait(
            lambda: _ailment(member, values),
            HEALTHY_SECONDS,
            lambda: member.running and not given_up.is_set(),
        )
        if not finding:
            say(f"  {member.name:<12} {member.spec.url or 'running'}")
        elif not member.running:
            given_up.set()  # the others may be waiting for this one
            return "ended while starting"
        return finding

    with ThreadPoolExecutor(len(members) or 1) as pool:
        try:
            findings = list(pool.map(attend, members))
        except BaseException:
            given_up.set()  # leaving the block waits for the threads
            raise
    _blame([(member, finding) for member, finding in zip(members, findings, strict=True) if finding])


def _blame(sick: list[tuple[Member, str]]) -> None:
    """Raises for the worst of the sick: who has died is the cause, who merely waits is not."""
    if sick:
        (member, finding), *others = sorted(sick, key=lambda pair: pair[0].running)
        listed = "".join(f"\n{other.name} {what}" for other, what in others)
        raise StackError(str(member.daemon.failed(finding)) + listed)


def _ailment(member: Member, values: Mapping[str, str]) -> str:
    if not member.running:
        return "is not running"
    return health.ailment(member.spec, member.daemon.age_seconds, values)
