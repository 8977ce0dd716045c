"""The explorations of the unique column, of the chunk rule and of the drain's head start."""

from tests.model import chunks, head_start, unique
from tests.model.runs import LOST, STUCK, Run

BACK = "goes back"
RUNS = (
    Run("unique emails: 2 appliers, 2 chunks, every form of a write", unique.forward),
    Run(
        "unique emails: 2 appliers, 2 chunks, 3 writes, crash",
        lambda: unique.forward(writes=3, crashes=1),
        slow=True,
    ),
    Run(
        "unique emails: 1 applier, 2 chunks, 3 writes",
        lambda: unique.forward(writes=3, appliers=1),
        slow=True,
    ),
    Run("unique emails: 2 appliers, copied, 3 writes", lambda: unique.forward(writes=3, copied=True)),
    Run(
        "unique checks cannot wait for the commit",
        lambda: unique.forward(unique.Rules(unique_checked="at_once"), copied=True),
        STUCK,
    ),
    Run(
        "victims of REPLACE are not logged",
        lambda: unique.forward(unique.Rules(captures_victims=False), writes=1),
        STUCK,
    ),
    Run(
        "a key that moves is logged under its new key only",
        lambda: unique.forward(unique.Rules(captures_old_key=False), writes=3, copied=True),
        LOST,
        only=True,
    ),
    Run(
        "a batch takes part of the log",
        lambda: unique.forward(unique.Rules(batch="bounded"), appliers=1, copied=True),
        STUCK,
    ),
    Run(
        "a batch that failed is tried again as it was",
        lambda: unique.forward(unique.Rules(after_failure="same_batch"), writes=3, appliers=1),
        STUCK,
        slow=True,
    ),
    Run(
        "(no safety rule) a chunk passes over an email that is taken",
        lambda: unique.forward(unique.Rules(chunk_conflict="ignored"), appliers=1),
    ),
    Run("unique emails back into the file", unique.backward),
    Run("back into the file row by row", lambda: unique.backward(clears_first=False), STUCK),
    Run("chunk rule: 2 deliveries, 2 appliers, 2 writes", lambda: chunks.model(writes=2)),
    Run("chunk rule: 2 deliveries, 2 appliers, 3 writes", chunks.model, slow=True),
    Run(
        "chunk rule: 3 deliveries, 2 appliers, 3 writes, crash",
        lambda: chunks.model(chunks=3, writes=3, crashes=1),
        slow=True,
    ),
    Run(
        "(no safety rule) the done mark is not looked at",
        lambda: chunks.model(chunks.Rules(checks_done=False), writes=2),
    ),
    Run(
        "chunk and applier do not exclude each other",
        lambda: chunks.model(chunks.Rules(range_lock=False)),
        LOST,
    ),
    Run("a chunk does not look at versions", lambda: chunks.model(chunks.Rules(compares=False)), LOST),
    Run("two appliers at once in a database", lambda: chunks.model(chunks.Rules(apply_lock=False)), BACK),
    Run(
        "a batch is not compared with the youngest chunk",
        lambda: chunks.model(chunks.Rules(counts_mark="never")),
        BACK,
    ),
    Run(
        "only a row without a version counts as old as a chunk",
        lambda: chunks.model(chunks.Rules(counts_mark="versionless")),
        BACK,
    ),
    Run("the done mark says where the reading began", lambda: chunks.model(chunks.Rules(mark="begin")), BACK),
    Run(
        "neither a tombstone nor the done mark stops a late chunk",
        lambda: chunks.model(chunks.Rules(clears_versions=True, checks_done=False), appliers=1),
        LOST,
    ),
    Run(
        "head start: 2 drains, applier, chunk, cutover, rollback, cutover, crash",
        lambda: head_start.model(crashes=1),
    ),
    Run(
        "head start: 2 drains, 2 appliers, chunk, 4 writes, 4 moves",
        lambda: head_start.model(writes=4, moves=4, appliers=2),
        slow=True,
    ),
    Run(
        "a head start lets other appliers write",
        lambda: head_start.model(head_start.Rules(apply_lock=False)),
        BACK,
    ),
    Run(
        "(no safety rule) a head start lets the phase row move: a cutover has to drain, which waits for it",
        lambda: head_start.model(head_start.Rules(phase_lock=False)),
    ),
    Run(
        "(no safety rule) a head start does not compare the epoch: no row is ahead of the file that is read later",
        lambda: head_start.model(head_start.Rules(checks_epoch=False)),
    ),
)
