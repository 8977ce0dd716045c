"""Which function of the project does each action of the models. A test fails when one of them is renamed or gone.

The part before the colon is a module, the part behind it a function or a method in it.
"""

ACTIONS: dict[str, tuple[str, ...]] = {
    # services
    "write.file": (
        "service_kit.truth.router:Truth._write_file",
        "service_kit.truth.phase:PhaseRow.disowns",
        "service_kit.truth.watch:PhaseWatch.newest",
    ),
    "write.look": ("service_kit.truth.router:Truth.write", "service_kit.truth.phase:lock_phase"),
    "write.database": ("service_kit.truth.router:Truth._write_database", "service_kit.truth.schema:upgrade"),
    "read.file": ("service_kit.truth.router:Truth._read_file",),
    "read.database": ("service_kit.truth.router:Truth._read_database", "service_kit.truth.phase:read_phase"),
    "follow": ("service_kit.truth.phase:follow", "migration.follow_up:follow_all"),
    "undo": ("service_kit.truth.undo:undo_rollback", "migration.undo:abandon_rollback"),
    # capture, appliers, logs
    "dual_write.install": (
        "migration.dual_write:start",
        "migration.capture:install",
        "migration.triggers:capture_triggers",
    ),
    "apply.start": ("migration.apply:HeadStart", "migration.drain:ServiceDrain.announce"),
    "apply.read": ("migration.catch_up:catch_up", "migration.batch:read_batch"),
    "apply.database": ("migration.apply:apply_batch", "migration.ranges:lock_keys"),
    "prune": ("migration.prune:prune",),
    "reverse.read": ("migration.reverse:apply_reverse", "migration.reverse_log:reverse_view"),
    "reverse.write": ("migration.file_rows:write_accounts",),
    "reverse.forget": ("migration.reverse:forget", "migration.reverse_log:delete_entries"),
    # copy and verify
    "chunk.read": ("migration.snapshot:take", "migration.copy_chunk:read"),
    "chunk.database": ("migration.copy_chunk:write", "migration.ranges:lock_range"),
    "copy.finish": ("migration.copy:finish", "migration.copy:stamp_copied"),
    "verify.pass": ("migration.verify:begin", "migration.verify_chunk:run"),
    "verify.compare": ("migration.suspects:judge", "migration.compare:differences"),
    "verify.stamp": ("migration.verify:finish", "migration.stamp:move_phase"),
    "repair.read": ("migration.verify:mend", "migration.repair:repair"),
    "repair.database": ("migration.repair:_mend",),
    # cutover, rollback, finish
    "cutover.lock": ("migration.cutover:switch", "migration.cutover:_check"),
    "cutover.drain": ("migration.cutover:_drain", "migration.sequences:raise_sequence"),
    "cutover.commit": ("migration.cutover:_switch", "migration.capture:raise_fence"),
    "rollback.start": ("migration.rollback:roll_back",),
    "rollback.fence": ("migration.rollback:_fence", "service_kit.truth.phase:fence"),
    "rollback.settle": ("migration.settle:settle_pending",),
    "rollback.lock": ("migration.rollback:_roll_back",),
    "rollback.drain": ("migration.rollback:_read_rest", "migration.sequences:raise_counter"),
    "rollback.commit": ("migration.rollback:_roll_back", "migration.capture:lower_fence"),
    "finish.commit": ("migration.finish:finish", "migration.capture:drop_capture"),
    # registration
    "register.file": ("user_app.repository.legacy_users:add",),
    "register.pending": ("user_app.repository.registrations:add_pending",),
    "register.credential": ("auth_app.use_cases.credentials:Credentials.put",),
    "register.activate": (
        "user_app.use_cases.registration:Registration._complete",
        "user_app.use_cases.settling:activate",
    ),
    "settle.find": ("user_app.use_cases.settling:Settling.sweep",),
    "settle.credential": ("auth_app.use_cases.credentials:Credentials.settle",),
    "settle.row": ("user_app.use_cases.settling:Settling.settle",),
    # events
    "events.append": ("service_kit.events.store:append", "service_kit.events.store:append_many"),
    "sequencer.number": ("service_kit.events.sequencer:number",),
    "consumer.batch": ("service_kit.events.processing:Processing.handle",),
    "consumer.isolate": ("service_kit.events.processing:Processing.isolate",),
    "consumer.alone": ("service_kit.events.failures:count_attempt", "service_kit.events.failures:settle"),
}
ENVIRONMENT = frozenset(("crash", "corruption", "restore_old_file", "put_back_file"))
"""Actions that nobody implements: they happen to us."""
