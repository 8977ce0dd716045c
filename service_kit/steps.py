"""Named points in the running code where a fault test can stop the process, act, and let it go on or kill it.

In a normal run `step` is a function without a body. When the environment variable STEP_CONTROL names a unix socket
as the process starts, every `step(name)` connects to it, says `{"point": name, "pid": ..., "role": ...}` in one line,
and waits for a line in answer: the test has the process in its hand until it answers "go" (or until it kills it). A
socket that nobody listens on any more lets the process go on, so that a test which died leaves no process hanging.

A new point is one line in POINTS and one `step(...)` call with the name as a literal; tests/unit/test_steps.py holds
the two together, and the randomised runs fail when a listed point is never exercised.
"""

import json
import os
import socket
from collections.abc import Callable

CONTROL_VARIABLE = "STEP_CONTROL"
ROLE_VARIABLE = "STEP_ROLE"

POINTS: dict[str, str] = {
    # a service's write and read, whichever side is the truth
    "truth.write.before_file_commit": "a write is done in the file's transaction and not committed",
    "truth.write.file_committed": "a write is committed in the file and not drained to the databases",
    "truth.write.file_fenced": "an odd epoch was read in the file, nothing asked of the database yet",
    "truth.write.before_database_commit": "a write is done under the phase lock and not committed",
    "truth.write.database_committed": "a write is committed in the database and not answered",
    "truth.read.file_fenced": "a read saw an odd epoch in the file and has not read the phase row",
    "truth.read.phase_read": "a read has seen the phase row and not the data",
    "truth.follow": "a phase row is about to follow the file's epoch",
    "truth.undo.before_commit": "the undo of a rollback has moved the file's epoch and not committed",
    "truth.undo.committed": "the undo is committed in the file, no phase row has followed",
    # capture
    "dual_write.before_commit": "triggers, log and state are in the file's transaction, not committed",
    "dual_write.committed": "capture is installed and nothing else has happened",
    # forward applier
    "apply.head_start": "a service's drain holds the locks in its database, the write is being committed in the file",
    "apply.read": "a batch of keys and rows is read from one snapshot of the file",
    "apply.before_user_commit": "the locks in user_db are held, the batch is about to be written and committed there",
    "apply.user_committed": "the batch is in user_db and not in auth_db",
    "apply.before_auth_commit": "the locks in auth_db are held, the batch is about to be written and committed there",
    "apply.auth_committed": "the batch is in both databases",
    # reverse applier
    "reverse.read": "entries and rows are read from both databases under the file's write lock",
    "reverse.before_file_commit": "the rows are written in the file and not committed",
    "reverse.file_committed": "the rows are in the file, the entries not deleted",
    "reverse.entries_deleted": "the entries of one database are deleted",
    # copy
    "copy.planned": "the plan and its chunks are recorded",
    "chunk.read": "a chunk's rows are read from the file at log sequence W",
    "chunk.before_user_commit": "a chunk and its done mark are written in user_db, not committed",
    "chunk.user_committed": "a chunk is done in user_db and not in auth_db",
    "chunk.before_auth_commit": "a chunk and its done mark are written in auth_db, not committed",
    "chunk.auth_committed": "a chunk is done in both databases",
    "copy.finished": "every chunk is done, the phase is still dual_write",
    # verify and repair
    "verify.started": "a pass has begun, nothing compared",
    "verify.chunk_compared": "one chunk of keys is compared on both sides",
    "verify.before_stamp": "a clean pass is about to be recorded in the file",
    "repair.read": "the true rows of differing keys are read",
    "repair.user_committed": "the repair is in user_db and not in auth_db",
    "repair.auth_committed": "the repair is in both databases",
    # cutover
    "cutover.locked": "the file's write lock is held, epoch and phase are checked",
    "cutover.user_drained": "the rest of the log and the sequence are in user_db",
    "cutover.auth_drained": "the rest of the log is in auth_db",
    "cutover.before_commit": "fence triggers and the odd epoch are in the file's transaction, not committed",
    "cutover.committed": "PostgreSQL is the truth, no phase row has followed",
    "cutover.user_followed": "user_db has followed, auth_db has not",
    "cutover.auth_followed": "both databases have followed",
    # rollback
    "rollback.started": "the odd epoch is read, nothing is fenced",
    "rollback.user_fenced": "user_db is fenced, auth_db is open",
    "rollback.auth_fenced": "both databases are fenced",
    "rollback.settled": "no registration is pending",
    "rollback.locked": "the file's write lock is held, both fences are checked",
    "rollback.before_commit": "the last drain and the even epoch are in the file's transaction, not committed",
    "rollback.committed": "the file is the truth, no phase row has followed",
    "rollback.user_followed": "user_db has followed, auth_db has not",
    "rollback.auth_followed": "both databases have followed, the entries are not deleted",
    # finish
    "finish.before_commit": "capture is dropped and the epoch moved in the file's transaction, not committed",
    "finish.committed": "finished in the file, no phase row has followed",
    "finish.followed": "both databases have followed, reverse capture is still there",
    # registration over the two services
    "registration.hashed": "the password is hashed, nothing is written",
    "registration.pending": "the row is pending in user_db, there is no credential",
    "registration.credential_put": "the credential is committed in auth_db, the row is pending",
    "registration.activated": "the user is active, no session is opened",
    "settle.asked": "auth_db has answered for a pending row, the row is still pending",
    "settle.done": "the pending row is active or gone",
    # events
    "sequencer.locked": "the sequencer holds its lock, no position is given",
    "sequencer.before_commit": "positions are given and not committed",
    "sequencer.committed": "positions are committed, nobody is told",
    "relay.published": "the doorbell has rung",
    "consumer.counted": "the attempt is counted and committed, the handler has not run",
    "consumer.before_commit": "the handler has run, its effect and the cursor are not committed",
    "consumer.committed": "effect and cursor are committed",
}


def _pass(name: str) -> None:
    """The normal run: nothing."""


def _announce(name: str) -> None:
    """Tell the controller which point is reached and wait for its answer."""
    if name not in POINTS:
        raise LookupError(f"step {name!r} is not listed in service_kit.steps.POINTS")
    line = json.dumps({"point": name, "pid": os.getpid(), "role": os.environ.get(ROLE_VARIABLE, "")})
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(os.environ[CONTROL_VARIABLE])
            control.sendall(line.encode() + b"\n")
            control.recv(16)
    except (ConnectionError, FileNotFoundError):
        return


step: Callable[[str], None] = _announce if os.environ.get(CONTROL_VARIABLE) else _pass
