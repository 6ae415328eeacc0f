"""A file from outside is an item's like those of its steps: stored once, told of, and swept if nobody has it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User

from runtime import artifacts, clock, faults
from runtime.choices import EventKind
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, StaleVersion, TooLarge
from runtime.faults import InjectedFault, Plan
from runtime.models import Artifact, Blob, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.attach import Attach, attach
from runtime.queries import verify
from runtime.store import blobs
from tests.factories import ArtifactFactory, WorkItemFactory
from tests.orphans import sweep_orphans
from tests.runtime.operations.looking import fresh, last_event, values
from tests.runtime.places import in_threads

pytestmark = pytest.mark.django_db
STATES = ["queued", "running", "waiting", "paused", "done", "failed", "cancelled"]


def file(content: bytes = b"content", name: str = "scan.pdf") -> artifacts.Prepared:
    return artifacts.prepare(name, content, kind="report", content_type="application/pdf")


@pytest.mark.parametrize("state", STATES)
def test_a_file_is_given_in_every_state_and_the_item_goes_on(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before, found = fresh(item), verify.item(item.pk)
    made, new = attach(item.pk, file(), actor="ada", reason="signed")
    assert new
    stored = Artifact.objects.get(pk=made.pk)
    assert blobs.read_artifact(stored) == b"content"
    assert (stored.name, stored.kind, stored.content_type) == ("scan.pdf", "report", "application/pdf")
    event, after = last_event(item), fresh(item)
    assert (event.kind, event.actor, event.reason, event.data["name"]) == ("uploaded", "ada", "signed", "scan.pdf")
    assert (after.state, after.epoch, after.version) == (before.state, before.epoch, stored.version)
    assert after.row_version == before.row_version + 1
    assert verify.item(item.pk) == found


def test_the_same_file_again_is_the_one_that_is_there() -> None:
    item = WorkItemFactory()
    made, _ = attach(item.pk, file())
    before = values(item)
    assert attach(item.pk, file()) == (made, False)
    assert values(item) == before
    with pytest.raises(Conflict, match=r"has another file 'scan\.pdf'"):
        attach(item.pk, file(b"other"))
    assert attach(item.pk, file(b"other", "other.pdf"))[1]


def test_a_file_that_a_step_has_made_is_not_replaced() -> None:
    theirs = ArtifactFactory(name="scan.pdf", content=b"theirs")
    WorkItem.objects.filter(pk=theirs.work_item_id).update(version=theirs.version)
    with pytest.raises(Conflict):
        attach(theirs.work_item_id, file())


def test_who_may_not_and_what_does_not_fit_stores_nothing(settings: Any) -> None:
    item = WorkItemFactory()
    with pytest.raises(Forbidden, match="upload_artifact"):
        attach(item.pk, file(), by=User.objects.create_user("ann"))
    with pytest.raises(StaleVersion):
        attach(item.pk, file(), row_version=99)
    with pytest.raises(NotFound):
        attach(new_id(), file())
    settings.ROOST_MAX_ITEM_ARTIFACT_BYTES = 10
    attach(item.pk, file(b"12345678", "one"))
    blobs_before = Blob.objects.count()
    with pytest.raises(TooLarge, match="has 8 bytes of files; with 3 more"):
        attach(item.pk, file(b"123", "two"))
    assert Blob.objects.count() == blobs_before
    assert attach(item.pk, file(b"12", "two"))[1]
    settings.ROOST_MAX_ITEM_ARTIFACT_BYTES = None
    assert attach(item.pk, file(b"more than fits", "three"))[1]


@pytest.mark.django_db(transaction=True)
def test_files_that_come_at_once_do_not_go_beyond_the_quota(settings: Any) -> None:
    settings.ROOST_MAX_ITEM_ARTIFACT_BYTES = 10
    item = WorkItemFactory()
    names = iter("abcd")

    def give() -> bool:
        name = next(names)
        try:
            return attach(item.pk, file(name.encode() * 4, name))[1]
        except TooLarge:
            return False

    assert sorted(in_threads(4, give)) == [False, False, True, True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("point", "left"), [("attach.before", 0), ("attach.after", 1)])
def test_an_upload_that_was_cut_off_leaves_bytes_that_are_swept(point: str, left: int) -> None:
    item = WorkItemFactory()
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        attach(item.pk, file(f"cut off {point}".encode()))
    assert Artifact.objects.count() == left
    assert Blob.objects.count() == 1
    with clock.shifted(dt.timedelta(days=2)):
        assert sweep_orphans("default", limit=10) == 1 - left
    assert verify.item(item.pk) == []


def test_a_caller_with_a_transaction_stores_the_bytes_before_it() -> None:
    item = WorkItemFactory()
    operation = Attach(item.pk, file())
    kept = operation.keep()
    assert not Artifact.objects.exists()
    made, new = operation.attach(kept)
    assert new
    assert made.pk == kept.id
    assert last_event(item).kind == EventKind.UPLOADED


def refuses_eicar(name: str, content: bytes) -> str:
    if content == b"broken":
        raise OSError("the scanner does not answer")
    return "it holds a virus" if b"EICAR" in content else ""


def test_the_product_looks_at_a_file_before_anything_of_it_is_stored(settings: Any) -> None:
    settings.ROOST_SCAN_UPLOADS = f"{__name__}.refuses_eicar"
    item = WorkItemFactory()
    before = values(item)
    with pytest.raises(InvalidInput, match=r"'scan\.pdf' is not taken: it holds a virus"):
        attach(item.pk, file(b"EICAR"))
    with pytest.raises(OSError, match="scanner"):
        attach(item.pk, file(b"broken"))
    assert (values(item), Artifact.objects.count(), Blob.objects.count()) == (before, 0, 0)
    assert attach(item.pk, file(b"clean"))[1]
