"""Prepare a database for the browser's tests: `python -m tests.browser.seed ADDRESS [--demo]` prints what it made.

It holds some rows of every table, or with `--demo` what `make console` shows.
"""

from __future__ import annotations

import json
import sys

import django

ALL = "*"
LONG = "what-agents-make-up-" + "x" * 120
"""A name without blanks, which must not widen a page."""


def seed(address: str, *, demo: bool) -> dict[str, str]:
    """Migrate and fill; return a session, a token and an item."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command

    from roost_project.demo_data import fill
    from runtime import tokens
    from runtime.operations.tokens import create_token
    from tests.factories import WorkItemFactory

    call_command("migrate", verbosity=0, interactive=False)
    boss = User.objects.create_superuser("boss", password="secret")
    session = SessionStore()
    session[SESSION_KEY] = str(boss.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = boss.get_session_auth_hash()
    session.create()
    made = {"session": str(session.session_key)}
    if demo:
        fill(address)
    else:
        error = {"type": "RuntimeError", "message": LONG, "traceback": LONG}
        item = WorkItemFactory(failed=True, version=3, idempotency_key="story", step_label=LONG, last_error=error)
        furnish(item)
        made["item"] = str(item.pk)
    made["token"] = create_token("browser", scopes=sorted(tokens.PERMISSIONS), namespaces=[ALL]).text
    return made


def furnish(item: object) -> None:
    """Make something of everything, so that every page has a row to show."""
    from runtime import faults
    from runtime.models import DoneRequest, Limit, Offloaded, PrunedHistory
    from runtime.operations.enqueue import enqueue
    from runtime.operations.enqueue_many import enqueue_many
    from runtime.operations.schedules import set_schedule
    from runtime.operations.targets import set_target
    from runtime.operations.triggers import set_trigger
    from runtime.operations.webhooks import set_webhook
    from runtime.store.horizon import delete_events
    from tests.factories import (
        ArtifactFactory,
        EventFactory,
        JournalEntryFactory,
        MailboxFactory,
        SignalFactory,
        WaitFactory,
        WorkItemFactory,
        now,
    )

    invoices = [{"number": f"A-{number}", "amount": 20 * number} for number in (1, 2)]
    invoices.append({"number": "X-1", "amount": 90, "trouble": "currency"})
    enqueue_many([{"engine": "invoice", "payload": invoice} for invoice in invoices])
    enqueue_many(
        [{"engine": "review", "payload": {"title": "A price list", "ask": ask}} for ask in ("approval", "input")]
    )
    # Runs as long as the tests do, and holds what it runs on.
    enqueue("counter", {"count_to": 1, "sleep": 3600}, resources=["domain:example.org"])
    # The widest that the list of items has to show, but for what has no bounds.
    WorkItemFactory(cancelled=True, engine="webhook_delivery", attempt=10, max_attempts=10)
    enqueue("counter", {"count_to": 1}, delay=36_000.0)
    # A worker removes the mailbox of a name that nobody uses.
    MailboxFactory(name=SignalFactory().name)
    JournalEntryFactory(work_item=item)
    JournalEntryFactory(work_item=item, key=LONG, state="failed")
    WaitFactory(work_item=item)
    blob = ArtifactFactory(work_item=item, name=f"{LONG}.txt").blob
    DoneRequest.objects.create(key="b" * 64, asked="c" * 64, done_at=now())
    Limit.objects.create(name="all of them", concurrency=100)
    Offloaded.objects.create(work_item=item, place="state", version=1, blob=blob)
    PrunedHistory.objects.create(work_item=WorkItemFactory(), pruned_at=now())
    set_schedule("figures", engine="review", payload={"title": "The figures"}, cron="30 7 * * 1-5")
    set_trigger("look", engine="refund", on="failed", target="review", payload={"title": "A refund failed"})
    set_webhook("hook", engine="counter", verifier="github", secret="s" * 30)
    set_target("ops", url="https://ops.example/", events=["cancelled"], secret="s" * 30)
    with faults.around("prune"):
        delete_events("default", [EventFactory().work_item_id])


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(seed(sys.argv[1], demo="--demo" in sys.argv)))
