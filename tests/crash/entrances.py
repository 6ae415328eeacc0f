"""Scenarios of what comes in from outside and goes out again: deliveries, files, requests with a key, tokens."""

from __future__ import annotations

import hashlib
import hmac

from runtime import artifacts
from runtime.deliveries import ENGINE
from runtime.models import ApiToken, Artifact, DoneRequest, Event, Webhook, WorkItem
from runtime.operations import token_use
from runtime.operations.attach import attach
from runtime.operations.enqueue import enqueue
from runtime.operations.once import Asked, once
from runtime.operations.receiving import receive
from runtime.operations.requeue import requeue
from runtime.operations.targets import set_target
from runtime.operations.tokens import create_token, revoke_token, rotate_token
from runtime.operations.webhooks import set_webhook
from runtime.store.blobs import read_artifact
from tests.crash.scenario import Scenario, World, item, told

SECRET = "a secret of thirty-two characters"
BODY = b'{"n": 2}'
FILE = b"what somebody noticed"
REQUEST = Asked(owner="ann", key="request-1", what="count to 2")


class Delivered(Scenario):
    """A sender that repeats its delivery until the work is done."""

    name = "webhook"

    def prepare(self, world: World) -> None:
        set_webhook("pushes", engine="counter", verifier="github", secret=SECRET, payload={"count_to": "$body.n"})

    def play(self, world: World) -> bool:
        signature = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
        receipt = receive("pushes", {"x-hub-signature-256": signature, "x-github-delivery": "d-1"}, BODY)
        return WorkItem.objects.get(pk=receipt.item).state == "done"

    def check(self, world: World) -> None:
        hook, found = Webhook.objects.get(), WorkItem.objects.get()
        assert found.result == {"count": 2}
        assert (hook.accepted_total, hook.last_item) == (1, found.pk)


class Told(Scenario):
    """A receiver that hears of an end; an operator does not wait for a delivery's next attempt."""

    name = "target"

    def prepare(self, world: World) -> None:
        set_target("ops", url=f"{world.service}/notices", events=["done"], secret=SECRET)

    def play(self, world: World) -> bool:
        item("told", "counter", {"count_to": 1})
        for late in WorkItem.objects.filter(engine=ENGINE, state="queued", reason="retry"):
            requeue(late.pk, actor="ann")
        return WorkItem.objects.filter(engine=ENGINE, state="done").exists()

    def check(self, world: World) -> None:
        assert WorkItem.objects.get(engine="counter").version == 1
        delivery = WorkItem.objects.get(engine=ENGINE)
        assert told(delivery, "done") == 1
        assert world.effects("/notices") == 1


class Uploaded(Scenario):
    """An item that is given a file, and runs once more for it."""

    name = "upload"

    def play(self, world: World) -> bool:
        found = item("upload", "counter", {"count_to": 1})
        if found.state == "done":
            attach(found.pk, artifacts.prepare("notes.txt", FILE))
        return Artifact.objects.exists()

    def check(self, world: World) -> None:
        file = Artifact.objects.get()
        assert (file.name, read_artifact(file)) == ("notes.txt", FILE)
        assert told(WorkItem.objects.get(), "uploaded") == 1


class Asking(Scenario):
    """A client that sends its request again until it has an answer."""

    name = "request"

    def play(self, world: World) -> bool:
        def work() -> tuple[str, str]:
            made = str(enqueue("counter", {"count_to": 2}).pk)
            return made, made

        return WorkItem.objects.get(pk=once(REQUEST, work, str)).state == "done"

    def check(self, world: World) -> None:
        assert DoneRequest.objects.get().about == str(WorkItem.objects.get().pk)
        assert WorkItem.objects.get().result == {"count": 2}


class Tokens(Scenario):
    """A token that is made, exchanged, used and revoked."""

    name = "token"

    def prepare(self, world: World) -> None:
        token_use.forget()

    def play(self, world: World) -> bool:
        row = ApiToken.objects.first()
        if row is None:
            create_token("ci", scopes=["read"], namespaces=["*"])
        elif row.revoked_at is not None:
            return True
        elif not row.previous_hash:
            token_use.recognise(rotate_token("ci").text)
        else:
            revoke_token("ci", actor="ann")
        return False

    def check(self, world: World) -> None:
        row = ApiToken.objects.get()
        assert (row.revoked_by, row.previous_hash, row.previous_until) == ("ann", "", None)
        assert not Event.objects.exists()


ENTRANCES = (Delivered(), Told(), Uploaded(), Asking(), Tokens())
