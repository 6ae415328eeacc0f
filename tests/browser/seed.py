"""Prepare a database for the browser's tests: `python -m tests.browser.seed ADDRESS [--demo]` prints what it made.

With `--demo` it holds the demo's data alone.
"""

from __future__ import annotations

import json
import sys

import django

ALL = "*"


def seed(address: str, *, furnished: bool) -> dict[str, str]:
    """Migrate, fill with the demo's data and a row of every table besides; return a session, a token and an item."""
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
    fill(address)
    made = {"session": str(session.session_key)}
    if furnished:
        item = WorkItemFactory(failed=True, version=3, idempotency_key="story")
        furnish(item)
        made["item"] = str(item.pk)
    made["token"] = create_token("browser", scopes=sorted(tokens.PERMISSIONS), namespaces=[ALL]).text
    return made


def furnish(item: object) -> None:
    """Make what the demo has none of, so that every page has a row to show."""
    from runtime import faults
    from runtime.models import Limit, Offloaded, PrunedHistory
    from runtime.operations.targets import set_target
    from runtime.operations.webhooks import set_webhook
    from runtime.store.horizon import delete_events
    from tests.factories import (
        ArtifactFactory,
        EventFactory,
        JournalEntryFactory,
        LeaseFactory,
        MailboxFactory,
        ResourceClaimFactory,
        SignalFactory,
        WaitFactory,
        WorkItemFactory,
        now,
    )

    for make in (LeaseFactory, MailboxFactory, ResourceClaimFactory, SignalFactory):
        make()
    JournalEntryFactory(work_item=item)
    WaitFactory(work_item=item)
    blob = ArtifactFactory(work_item=item).blob
    Limit.objects.create(name="all of them", concurrency=100)
    Offloaded.objects.create(work_item=item, place="state", version=1, blob=blob)
    PrunedHistory.objects.create(work_item=WorkItemFactory(), pruned_at=now())
    set_webhook("hook", engine="counter", verifier="github", secret="s" * 30)
    set_target("ops", url="https://ops.example/", events=["cancelled"], secret="s" * 30)
    with faults.around("prune"):
        delete_events("default", [EventFactory().work_item_id])


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(seed(sys.argv[1], furnished="--demo" not in sys.argv)))
