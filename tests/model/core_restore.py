"""Core model: somebody puts an older copy of the file in its place, and later the file back."""

from collections.abc import Iterator

from tests.model.core_state import LEGACY, READY, World, first_file
from tests.model.rules import Bounds, Rules
from tests.model.search import CRASH, OPERATOR, Step


def older_copies(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """The copy is the file as it was at first, at epoch 0; both databases have followed the file further than that.

    While one of them has not, its row knows no more than the copy does, and nothing tells the two apart. The old
    server's own writes to the copy are nobody's promise; only the services' are explored.
    """
    file = world.file
    if world.away:
        if not file.locked:
            yield (
                OPERATOR,
                "put_back_file",
                f"the file of epoch {world.away.epoch} is put back",
                world._replace(file=world.away, away=None),
            )
        return
    followed = min(db.phase for db in world.dbs) // 2
    if world.left.restores and not file.locked and 0 < file.epoch == followed:
        left = world.left._replace(restores=world.left.restores - 1)
        copy = first_file(LEGACY if bounds.legacy else READY)
        yield (
            CRASH,
            "restore_old_file",
            f"a copy of epoch 0 takes the place of the file of epoch {file.epoch}",
            world._replace(file=copy, away=file, left=left),
        )
