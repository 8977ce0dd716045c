"""The rules of the core protocol, one field each. Every weakened variant changes one of them (see runs.py)."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rules:
    """The protocol as it is built. The first value of every comment is the right one."""

    epochs: bool = True  # phase rows carry an epoch and only move forward
    fence: Literal["own", "dual_write"] = (
        "own"  # rollback's fence: a state of its own | the row goes straight back
    )
    last_drain: Literal["locked", "separate", "after_unfence"] = (
        "locked"  # one file transaction with the un-fence
    )
    applier_checks: Literal["epoch", "phase", "nothing"] = "epoch"  # in its PostgreSQL transaction
    chunk_checks: Literal["epoch", "phase", "nothing"] = "epoch"
    chunk_writes: Literal["unless_newer", "if_absent"] = (
        "unless_newer"  # than its snapshot, by the version rows
    )
    reverse_reads: Literal["locked", "checks_phase", "checks_nothing"] = (
        "locked"  # under the file's write lock | before
    )
    reverse_repeats: bool = (
        False  # entries that the file holds already are written again (when read before the lock)
    )
    both_directions: bool = False  # forward appliers run while PostgreSQL is the truth as well
    phase_lock: bool = True  # a write keeps a lock on the phase row that it checked
    finish_keeps_fence: bool = True
    finish_moves_epoch: bool = True
    undo: Literal["epoch", "in_place", "none"] = (
        "epoch"  # an abandoned rollback: file epoch + 2 | the row opened again
    )
    failed_drain: Literal["nothing", "skip"] = (
        "nothing"  # a last drain that fails commits nothing | leaves the row out
    )
    read_order: Literal["phase", "data"] = "phase"  # what a read takes first
    fenced_read: Literal["file_first", "trusts_row", "trusts_file"] = "file_first"
    cutover_order: Literal["fence", "flip"] = "fence"  # what comes first
    cutover_locks: bool = True  # drain under BEGIN IMMEDIATE
    reads_again: bool = True  # the coordinator looks at phase and epoch again under the lock
    reads_check: bool = True  # services check the phase in the transaction of the read ...
    writes_check: bool = True  # ... and of the write
    one_row: bool = False  # one phase row for both databases
    rows_disown: bool = True  # a service never uses a file whose epoch is lower than its phase row's
    applied_captured: bool = False  # applied writes are captured again
    log_restarts: bool = False  # the file's log starts at 1 again after a rollback
    cursors_restart: bool = False  # ... and the cursors with it


@dataclass(frozen=True)
class Bounds:
    """How large the explored instance is."""

    writes: int = 2
    changes: int = 3  # cutovers, rollbacks and finishes
    crashes: int = 0
    redeliveries: int = 0  # chunks that are delivered once more after they are done
    failures: int = 0  # drains of a coordinator that the other side refuses
    restores: int = 0  # an older copy is put in the file's place, and the file back later
    appliers: int = 1
    chunks: int = 0
    coordinators: int = 1
    requests: int = 1  # service requests that stalled between two steps
    reader: bool = False
    reverse: bool = True  # a reverse applier in the background
    deletes: bool = False
    legacy: bool = False  # start before dual-write (otherwise copied and verified)
    finish: bool = False
    stale_chunk: bool = False  # a chunk of an earlier plan is still in flight
