"""The explorations of the core model: the protocol as it is built, and with one rule changed at a time."""

from dataclasses import replace

from tests.model.core import model
from tests.model.rules import Bounds, Rules
from tests.model.runs import LOST, OLD, SPLIT, STUCK, STUCK_ALONE, Run

LIFE = Bounds()
FORWARD = Bounds(changes=1, crashes=1, reverse=False, deletes=True, legacy=True)


def _whole(name: str, bounds: Bounds, slow: bool = False) -> Run:
    return Run(name, lambda: model(Rules(), bounds), slow=slow)


def _weak(name: str, rules: Rules, finds: str, only: bool = False, **bounds: int) -> Run:
    return Run(name, lambda: model(rules, replace(LIFE, **bounds)), finds, only)


WHOLE = (
    _whole(
        "copy to cutover: applier, 2 chunks, redelivery, deletes, crash",
        replace(FORWARD, writes=1, chunks=2, redeliveries=1),
    ),
    _whole(
        "cutover: 2 coordinators, stale requests, reads, crash",
        replace(LIFE, changes=1, coordinators=2, requests=2, crashes=1, reader=True),
    ),
    _whole(
        "cutover and rollback: reads, a drain that fails, crash",
        replace(LIFE, writes=1, changes=2, crashes=1, failures=1, reader=True, appliers=0),
    ),
    _whole(
        "cutover, rollback, cutover: stale chunk, applier, crash",
        replace(LIFE, writes=1, chunks=1, stale_chunk=True, crashes=1),
    ),
    _whole(
        "cutover, rollback, cutover: deletes, a drain that fails",
        replace(LIFE, deletes=True, failures=1, appliers=0),
    ),
    _whole(
        "rollback, undo, finish: 2 coordinators, crash",
        replace(LIFE, writes=1, coordinators=2, crashes=1, appliers=0, finish=True, reverse=False),
    ),
    _whole(
        "cutover and rollback: an older copy of the file, put back later, crash",
        replace(LIFE, changes=2, crashes=1, restores=1, appliers=0),
    ),
    _whole(
        "copy to cutover: 2 appliers, 2 chunks, redelivery, deletes, crash",
        replace(FORWARD, appliers=2, chunks=2, redeliveries=1),
        slow=True,
    ),
    _whole(
        "copy to cutover: 2 appliers, 3 writes, deletes, crash",
        replace(FORWARD, writes=3, appliers=2, chunks=1, redeliveries=1),
        slow=True,
    ),
    _whole(
        "cutover: 2 coordinators, 2 stale requests, reads, 2 crashes",
        replace(LIFE, changes=1, coordinators=2, requests=2, crashes=2, reader=True),
        slow=True,
    ),
    _whole(
        "to rollback: 2 coordinators, reads, crash",
        replace(LIFE, changes=2, coordinators=2, crashes=1, reader=True),
        slow=True,
    ),
    _whole(
        "to the second cutover: stale chunk, applier, crash, a drain that fails",
        replace(LIFE, chunks=1, stale_chunk=True, crashes=1, failures=1),
        slow=True,
    ),
    _whole(
        "to the second cutover: 2 appliers, 3 writes, crash",
        replace(LIFE, writes=3, appliers=2, crashes=1),
        slow=True,
    ),
    _whole(
        "to the second cutover: deletes, reads, a drain that fails",
        replace(LIFE, deletes=True, reader=True, failures=1),
        slow=True,
    ),
    _whole("to the second cutover: 2 stale requests, crash", replace(LIFE, requests=2, crashes=1), slow=True),
    _whole(
        "rollback, undo, finish: 2 coordinators, crash, a drain that fails",
        replace(LIFE, coordinators=2, crashes=1, failures=1, appliers=0, finish=True),
        slow=True,
    ),
    _whole(
        "rollback, undo, finish: 2 coordinators, reads",
        replace(LIFE, writes=1, coordinators=2, appliers=0, finish=True, reader=True),
        slow=True,
    ),
    _whole(
        "to the second cutover: an older copy of the file, twice, applier, reads",
        replace(LIFE, writes=1, restores=2, reader=True),
        slow=True,
    ),
    _whole(
        "legacy to finish: crash",
        replace(LIFE, legacy=True, chunks=1, changes=4, crashes=1, finish=True),
        slow=True,
    ),
    _whole(
        "legacy to rollback: 4 writes", replace(LIFE, legacy=True, chunks=1, changes=2, writes=4), slow=True
    ),
)

NO_EPOCHS = Rules(epochs=False, undo="none", applier_checks="phase", chunk_checks="phase")
WEAK = (
    _weak(
        "PostgreSQL flipped before the fence commit",
        Rules(cutover_order="flip"),
        SPLIT,
        True,
        changes=1,
        crashes=1,
    ),
    _weak(
        "PostgreSQL flipped before the fence commit: old reads", Rules(cutover_order="flip"), OLD, changes=1
    ),
    _weak("drain without the write lock", Rules(cutover_locks=False), LOST, changes=1),
    _weak("reads trust a cached phase", Rules(reads_check=False), OLD, changes=1),
    _weak("writes trust a cached phase", Rules(writes_check=False), LOST, changes=2, appliers=0),
    _weak("the check in PostgreSQL keeps no lock", Rules(phase_lock=False), LOST, changes=2),
    _weak("data first, then the phase row", Rules(read_order="data"), OLD, changes=1, reader=True),
    _weak("un-fence before the last drain", Rules(last_drain="after_unfence"), LOST, changes=2),
    _weak("one phase row for both databases", Rules(one_row=True), LOST, changes=2),
    _weak(
        "only the coordinator completes a change",
        Rules(),
        STUCK,
        changes=1,
        crashes=1,
        requests=0,
        appliers=0,
    ),
    _weak("no epochs", NO_EPOCHS, SPLIT, changes=2, appliers=0),
    _weak(
        "no epochs, rollback's fence is dual_write",
        replace(NO_EPOCHS, fence="dual_write", last_drain="separate"),
        SPLIT,
        changes=2,
        appliers=0,
        reverse=False,
    ),
    _weak("appliers check nothing", Rules(applier_checks="nothing"), LOST, changes=1),
    _weak("appliers check the phase, not the epoch", Rules(applier_checks="phase"), LOST, changes=2),
    _weak("chunks check nothing", Rules(chunk_checks="nothing"), LOST, changes=1, chunks=1, stale_chunk=True),
    _weak(
        "chunks check the phase, not the epoch",
        Rules(chunk_checks="phase"),
        LOST,
        changes=2,
        chunks=1,
        stale_chunk=True,
        requests=0,
        appliers=0,
    ),
    _weak(
        "a chunk inserts what is absent",
        Rules(chunk_writes="if_absent"),
        "",
        changes=1,
        chunks=1,
        legacy=True,
        deletes=True,
    ),
    _weak(
        "reverse applier reads before the lock, checks nothing",
        Rules(reverse_reads="checks_nothing", reverse_repeats=True),
        LOST,
        changes=2,
    ),
    _weak(
        "reverse applier reads before the lock, checks the phase",
        Rules(reverse_reads="checks_phase", reverse_repeats=True),
        LOST,
        writes=3,
        appliers=0,
    ),
    _weak("rollback un-fences without checking again", Rules(last_drain="separate"), SPLIT, changes=2),
    _weak("a fenced row is read as if it were open", Rules(fenced_read="trusts_row"), OLD, changes=2),
    _weak(
        "a read goes from a fenced row to the file unchecked",
        Rules(fenced_read="trusts_file"),
        OLD,
        changes=2,
    ),
    _weak(
        "an older copy of the file is taken for the file",
        Rules(rows_disown=False),
        SPLIT,
        changes=1,
        restores=1,
        appliers=0,
    ),
    _weak(
        "an older copy of the file is taken for the file, written to",
        Rules(rows_disown=False),
        LOST,
        True,
        changes=1,
        restores=1,
        appliers=0,
    ),
    _weak("undo opens the row in place", Rules(undo="in_place"), SPLIT, changes=2),
    _weak("no undo", Rules(undo="none"), STUCK_ALONE, changes=2, crashes=1),
    _weak(
        "no undo, a last drain that fails", Rules(undo="none"), STUCK_ALONE, changes=2, failures=1, appliers=0
    ),
    _weak(
        "a last drain that fails leaves the row out", Rules(failed_drain="skip"), LOST, changes=2, failures=1
    ),
    _weak("finish un-fences", Rules(finish_keeps_fence=False), SPLIT, changes=2, finish=True),
    _weak(
        "finish keeps the epoch",
        Rules(finish_moves_epoch=False),
        STUCK,
        changes=2,
        finish=True,
        coordinators=2,
        reverse=False,
    ),
    _weak(
        "the coordinator does not look again, phase checked",
        Rules(reads_again=False, applier_checks="phase"),
        STUCK,
        coordinators=2,
        appliers=0,
        reverse=False,
        requests=0,
    ),
    _weak("the log starts again after a rollback", Rules(log_restarts=True), LOST, writes=3, requests=0),
    _weak(
        "log and cursors start again",
        Rules(log_restarts=True, cursors_restart=True),
        LOST,
        writes=3,
        requests=0,
    ),
    _weak(
        "applied writes captured, appliers in both directions",
        Rules(applied_captured=True, both_directions=True),
        LOST,
        writes=3,
    ),
)

HARMLESS = (
    Run(
        "(no safety rule) applied writes are captured again",
        lambda: model(Rules(applied_captured=True), replace(LIFE, writes=1, changes=2)),
    ),
    Run(
        "(no safety rule) the coordinator does not look again, epochs checked",
        lambda: model(
            Rules(reads_again=False), replace(LIFE, writes=1, coordinators=2, appliers=0, reverse=False)
        ),
    ),
)
RUNS = WHOLE + WEAK + HARMLESS
