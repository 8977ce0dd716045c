"""The names under which beat's tasks are sent; those of the chunks are in `migration.task_queue`."""

DRAIN_FORWARD = "migration.drain_forward"
DRAIN_REVERSE = "migration.drain_reverse"
ADVANCE = "migration.advance"
PRUNE = "migration.prune"
HOUSEKEEPING = "migration.housekeeping"
