"""The mutations: what is broken, for which of the guarantees of docs/explanation/guarantees.md, and who must notice."""

from __future__ import annotations

from dataclasses import dataclass

SQLITE, POSTGRES = "sqlite", "postgresql"
PRUNING = "tests/runtime/operations/test_prune_history.py"
JOURNAL = "tests/contracts/test_store_journal.py"
WAITS = "tests/contracts/test_store_waits.py"
TAKEOVER = "tests/runtime/worker/test_takeover.py"
INTERLEAVINGS = "tests/contracts/test_store_interleavings.py"
LONG = "tests/contracts/test_store_long_transactions.py"
CLAIMING = "tests/contracts/test_store_claim_interleavings.py"


GUARANTEES = {
    1: "Nothing accepted is lost",
    2: "One owner",
    3: "A step is atomic",
    4: "Once outside, or known to be in doubt",
    5: "Recovery is quick",
    6: "Nothing waits unseen",
    7: "Limits do not leak",
    8: "Stop is graceful",
    9: "History is bounded",
    10: "JSON only",
}
"""The guarantees that the design numbers, under their headings in the documentation; there are more of these."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One exact replacement of text, found once in its file, and the tests of which at least one must fail."""

    name: str
    guarantee: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    database: str = POSTGRES


MUTANTS = (
    Mutant(
        name="a sweep looks no further than rows that somebody keeps locked",
        guarantee="Nothing accepted is lost",
        file="runtime/store/postgres/passing.py",
        old="        unlocked = lock_free(using, {one.item for kind in found if kind != FREE for one in found[kind]})",
        new="        unlocked = {one.item for kind in found if kind != FREE for one in found[kind]}",
        tests=(
            "tests/contracts/test_store_exempt_rows.py::test_items_that_somebody_keeps_locked_hide_none_behind_them",
        ),
    ),
    Mutant(
        name="who sent a signal does not look for a wait after the commit",
        guarantee="Nothing accepted is lost",
        file="runtime/store/delivery.py",
        old="            hearing.signal_later(using, name)\n",
        new="",
        tests=(f"{LONG}::test_a_signal_that_is_sent_for_minutes_costs_who_begins_to_wait_nothing",),
    ),
    Mutant(
        name="a sweep does not look for signals that passed a wait",
        guarantee="Nothing accepted is lost",
        file="runtime/store/postgres/sweep.py",
        old="for missed in unheard(using))])",
        new="for missed in unheard(using)[:0])])",
        tests=(f"{LONG}::test_a_signal_that_was_there_is_found_by_a_sweep_where_its_mailbox_was_locked",),
    ),
    Mutant(
        name="a suspect is looked for only by who has nothing else to do",
        guarantee="Nothing accepted is lost",
        file="runtime/worker/pace.py",
        old="        if now >= self._look_at:\n",
        new="        if now >= self._look_at and not self._expect:\n",
        tests=("tests/runtime/worker/test_pace.py::test_a_suspect_is_seen_however_much_else_is_due",),
        database=SQLITE,
    ),
    Mutant(
        name="a step that finds no database session has failed",
        guarantee="Failures are kept",
        file="runtime/worker/lanes.py",
        old="            self._await_session(run, anew=time.monotonic() - idle_since > _IDLE_SECONDS)\n",
        new="",
        tests=("tests/runtime/worker/test_scarce_sessions.py",),
        database=SQLITE,
    ),
    Mutant(
        name="a step that loses its database session has failed",
        guarantee="Failures are kept",
        file="runtime/worker/drain.py",
        old="                if run.losses <= MOST_LOSSES:",
        new="                if run.losses < 0:",
        tests=("tests/runtime/worker/test_lost_sessions.py",),
        database=SQLITE,
    ),
    Mutant(
        name="a takeover ends sessions that a pooler shares out",
        guarantee="One owner",
        file="runtime/worker/registration.py",
        old="        if pid != direct.told_pid(connection):",
        new="        if pid is None:",
        tests=("tests/runtime/worker/test_pooled_sessions.py",),
    ),
    Mutant(
        name="a takeover ends the sessions of a worker that beats",
        guarantee="One owner",
        file="runtime/worker/takeover.py",
        old="NOT %(only_dead)s AND w.heartbeat_at < statement_timestamp() - make_interval(secs => %(silence)s)\n",
        new="NOT %(only_dead)s\n",
        tests=(f"{TAKEOVER}::test_a_worker_that_beats_keeps_its_sessions_where_somebody_keeps_a_lease_of_it_locked",),
    ),
    Mutant(
        name="a release wakes nobody who waits for the resource",
        guarantee="Nothing accepted is lost",
        file="runtime/store/waking.py",
        old="    return _wake(using, (*parked, *freeing.waiters), clock.now(using), freeing.items)",
        new="    return 0",
        tests=("tests/contracts/test_store_resources.py::test_releasing_frees_and_wakes",),
        database=SQLITE,
    ),
    Mutant(
        name="a parent is not told that its last child has ended",
        guarantee="Nothing accepted is lost",
        file="runtime/store/following.py",
        old="    elif parents := _parked(using, following.parents):",
        new="    elif parents := _parked(using, ()):",
        tests=(
            "tests/contracts/test_store_children.py::test_children_that_end_in_one_commit_are_all_heard_of",
            "tests/contracts/test_store_children.py::test_the_last_child_that_ends_lets_its_parent_go_on",
        ),
        database=SQLITE,
    ),
    Mutant(
        name="a commit does not look at the epoch",
        guarantee="One owner",
        file="runtime/store/postgres/commit.py",
        old="WHERE id = o.item AND state = 'running' AND epoch = o.epoch AND version = o.version",
        new="WHERE id = o.item AND state = 'running' AND version = o.version",
        tests=("tests/contracts/test_store_commit.py::test_an_outcome_of_another_epoch_or_version_is_refused",),
    ),
    Mutant(
        name="a commit does not look at the version",
        guarantee="One owner",
        file="runtime/store/postgres/commit.py",
        old="WHERE id = o.item AND state = 'running' AND epoch = o.epoch AND version = o.version",
        new="WHERE id = o.item AND state = 'running' AND epoch = o.epoch",
        tests=(f"{INTERLEAVINGS}::test_two_commits_of_one_version_are_one",),
    ),
    Mutant(
        name="a commit does not look at the epoch",
        guarantee="One owner",
        file="runtime/store/portable/commit.py",
        old="        if (epoch, version) == (outcome.epoch, outcome.version):",
        new="        if version == outcome.version:",
        tests=("tests/contracts/test_store_commit.py::test_an_outcome_of_another_epoch_or_version_is_refused",),
        database=SQLITE,
    ),
    Mutant(
        name="a claim locks nothing that it chooses",
        guarantee="One owner",
        file="runtime/store/postgres/unruled.py",
        old="(_CLAIM_BEHIND if behind else _CLAIM).format(about=1 << (limit - 1).bit_length())",
        new='_CLAIM.replace("FOR NO KEY UPDATE SKIP LOCKED", "").format(about=1 << (limit - 1).bit_length())',
        tests=(f"{CLAIMING}::test_a_claim_passes_over_a_row_that_another_has_locked",),
    ),
    Mutant(
        name="a sweep does not look at the lease again",
        guarantee="One owner",
        file="runtime/store/postgres/recover.py",
        old="        AND (l.expires_at <= statement_timestamp() OR l.worker_id = ANY (%s::uuid[]))\n    RETURNING",
        new="        AND (true OR l.worker_id = ANY (%s::uuid[]))\n    RETURNING",
        tests=(f"{INTERLEAVINGS}::test_a_sweep_behind_a_heartbeat_leaves_the_lease_that_was_renewed",),
    ),
    Mutant(
        name="a heartbeat waits for the worker's row",
        guarantee="One owner",
        file="runtime/store/postgres/renew.py",
        old="WHERE id = %s::uuid FOR NO KEY UPDATE SKIP LOCKED\n), beat",
        new="WHERE id = %s::uuid FOR NO KEY UPDATE\n), beat",
        tests=(f"{LONG}::test_a_worker_whose_row_somebody_keeps_locked_keeps_its_leases",),
    ),
    Mutant(
        name="a batch is not sorted before its rows are locked",
        guarantee="One owner",
        file="runtime/store/postgres/commit.py",
        old='    ordered = sorted(outcomes, key=attrgetter("item"))',
        new="    ordered = list(outcomes)",
        tests=(f"{INTERLEAVINGS}::test_a_batch_is_locked_in_the_order_of_ids",),
    ),
    Mutant(
        name="an operator's move leaves the epoch",
        guarantee="One owner",
        file="runtime/store/move.py",
        old='        changes["epoch"] = item.epoch + 1',
        new='        changes["epoch"] = item.epoch',
        tests=("tests/contracts/test_store_move.py",),
        database=SQLITE,
    ),
    Mutant(
        name="the rows of an atomic step stay when its outcome is fenced off",
        guarantee="A step is atomic",
        file="runtime/worker/atomic.py",
        old="            if state is None:\n                raise Fenced(",
        new="            if state is None and run.id is None:\n                raise Fenced(",
        tests=("tests/runtime/worker/test_atomic.py::test_the_rows_of_a_step_that_was_fenced_off_are_gone_with_it",),
        database=SQLITE,
    ),
    Mutant(
        name="a hook that fails after the commit fails the step",
        guarantee="A step is atomic",
        file="runtime/worker/atomic.py",
        old="        if commit.done:",
        new="        if commit.done and outcome is None:",
        tests=("tests/runtime/worker/test_atomic.py::test_a_hook_that_fails_after_the_commit_is_no_failed_step",),
        database=SQLITE,
    ),
    Mutant(
        name="a recorded success is called again",
        guarantee="Once outside, or known to be in doubt",
        file="runtime/journal/entries.py",
        old="    return entry.state == JournalState.RETRY\n",
        new="    return True\n",
        tests=("tests/contracts/test_journal.py::test_a_recorded_success_is_returned_without_a_call",),
        database=SQLITE,
    ),
    Mutant(
        name="a call in doubt is begun again by anybody",
        guarantee="Once outside, or known to be in doubt",
        file="runtime/journal/entries.py",
        old="        return entry.call == write.replaces\n",
        new="        return True\n",
        tests=(f"{JOURNAL}::test_a_call_in_doubt_is_begun_again_only_in_the_place_of_the_one_that_was_seen",),
        database=SQLITE,
    ),
    Mutant(
        name="an answer that was used is not marked so",
        guarantee="An answer is used once",
        file="runtime/store/waits.py",
        old="        state=WaitState.CONSUMED, consumed_version",
        new="        consumed_version",
        tests=(
            "tests/contracts/test_store_waits.py::test_an_answer_is_told_until_a_version_is_made_and_then_consumed",
        ),
        database=SQLITE,
    ),
    Mutant(
        name="a process that was killed and not reaped counts as alive",
        guarantee="Recovery is quick",
        file="runtime/worker/liveness.py",
        old='    return None if fields[0] in "ZX" else fields[19]',
        new="    return fields[19]",
        tests=(f"{TAKEOVER}::test_a_process_that_was_killed_is_dead_at_once_and_also_as_a_zombie",),
    ),
    Mutant(
        name="a sweep leaves the leases of dead workers until they expire",
        guarantee="Recovery is quick",
        file="runtime/store/postgres/look.py",
        old='"(l.expires_at <= statement_timestamp() OR l.worker_id = ANY (%s::uuid[]))"',
        new='"(l.expires_at <= statement_timestamp() OR l.worker_id = ANY (%s::uuid[]) AND false)"',
        tests=("tests/contracts/test_store_sweep.py::test_a_dead_workers_items_go_to_the_next_at_once",),
    ),
    Mutant(
        name="why does not look at limits",
        guarantee="Nothing waits unseen",
        file="runtime/queries/why_queued.py",
        old="        yield from _limits(item, using)\n",
        new="",
        tests=("tests/runtime/queries/test_why.py", "tests/properties/test_why_and_claim.py"),
        database=SQLITE,
    ),
    Mutant(
        name="running items are not counted against a limit",
        guarantee="Limits do not leak",
        file="runtime/store/postgres/bounds.py",
        old="SELECT m.id, count(*)\n",
        new="SELECT m.id, 0\n",
        tests=("tests/contracts/test_store_limits.py::test_a_cap_lets_that_many_run_and_the_next_when_one_ends",),
    ),
    Mutant(
        name="a claim counts without locking the limit",
        guarantee="Limits do not leak",
        file="runtime/store/postgres/bounds.py",
        old="    FOR NO KEY UPDATE {{passing}}\n",
        new="",
        tests=(
            f"{CLAIMING}::test_a_claimer_leaves_a_limit_that_another_has_and_counts_what_that_one_started",
            f"{CLAIMING}::test_claimers_at_once_never_go_over_a_cap",
        ),
    ),
    Mutant(
        name="an item that is given back keeps its epoch",
        guarantee="Stop is graceful",
        file="runtime/store/postgres/release.py",
        old="        epoch = w.epoch + 1,",
        new="        epoch = w.epoch,",
        tests=("tests/contracts/test_store_leases.py::test_a_released_item_is_due_at_once_and_costs_nothing",),
    ),
    Mutant(
        name="orphaned content is removed although an artifact needs it",
        guarantee="History is bounded",
        file="runtime/store/blobs.py",
        old="    if blob is None or any(model._default_manager.using(using).filter(blob_id=sha256).exists() "
        "for model in REFERRING):",
        new="    if blob is None:",
        tests=("tests/runtime/store/test_blobs.py::test_content_that_is_needed_since_the_sweep_looked_is_left_alone",),
        database=SQLITE,
    ),
    Mutant(
        name="the latest snapshot is removed when it is old",
        guarantee="History is bounded",
        file="runtime/store/old_history.py",
        old="    old = rows.filter(~Exists(restored), ~Exists(forks), version__lt=item.version)",
        new="    old = rows.filter(~Exists(restored), ~Exists(forks))",
        tests=(f"{PRUNING}::test_the_latest_snapshot_and_the_newest_event_stay_however_old",),
        database=SQLITE,
    ),
    Mutant(
        name="a name in a row is imported where the registry does not know it",
        guarantee="JSON only",
        file="runtime/registry.py",
        old="    path = paths().get(name)\n",
        new="    path = paths().get(name, name)\n",
        tests=("tests/runtime/test_registry.py::test_an_unknown_engine_is_refused_with_the_names_of_those_there_are",),
        database=SQLITE,
    ),
)
