from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.models import Event, WorkItem
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db

ENQUEUE = ("enqueue", "--engine", "counter")
PAYLOAD = '{"count_to": 3}'


def test_the_id_stands_alone_on_stdout() -> None:
    printed = run(*ENQUEUE, "--payload", PAYLOAD)
    assert printed == f"{WorkItem.objects.get().pk}\n"


def test_every_option_reaches_the_item() -> None:
    parent = run(*ENQUEUE, "--payload", PAYLOAD, "--namespace", "shop").strip()
    options = ["--priority", "7", "--delay", "60", "--deadline", "3600", "--idempotency-key", "k", "--fair-key", "f"]
    options += ["--namespace", "shop", "--parent", parent[:13], "--pool", "gpu", "--max-attempts", "2"]
    options += ["--resource", "domain:a", "--resource", '{"key": "gpu", "mode": "counted", "units": 2}']
    made = document(*ENQUEUE, "--payload", PAYLOAD, *options)
    item = WorkItem.objects.get(pk=made["id"])
    assert (item.priority, item.idempotency_key, item.fair_key, item.pool, item.max_attempts) == (7, "k", "f", "gpu", 2)
    assert (item.namespace, str(item.parent_id)) == ("shop", parent)
    assert [resource["key"] for resource in item.resources] == ["domain:a", "gpu"]
    assert 59 < (item.run_at - item.created_at).total_seconds() < 61
    assert item.deadline_at is not None
    assert 3599 < (item.deadline_at - item.created_at).total_seconds() < 3601


def test_the_event_names_the_operating_systems_user() -> None:
    run(*ENQUEUE, "--payload", PAYLOAD)
    assert Event.objects.get().actor.startswith("cli:")


def test_a_payload_may_come_from_a_file_and_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "payload.json"
    file.write_text(PAYLOAD)
    run(*ENQUEUE, "--payload", f"@{file}")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(PAYLOAD.encode())))
    run(*ENQUEUE, "--payload", "-")
    assert [item.payload for item in WorkItem.objects.all()] == [json.loads(PAYLOAD)] * 2


@pytest.mark.scenario("L31")
def test_the_same_key_gives_the_same_id_and_another_payload_is_a_conflict() -> None:
    keyed = (*ENQUEUE, "--idempotency-key", "k", "--payload")
    assert run(*keyed, PAYLOAD) == run(*keyed, PAYLOAD)
    code, message = refused(*keyed, '{"count_to": 4}')
    assert code == 1
    assert "k" in message


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--engine", "nobody"], "There is no engine 'nobody'"),
        (["--payload", "{"], "The payload is no JSON"),
        (["--payload", '{"count_to": NaN}'], "nan"),
        (["--payload", '{"count_to": 1, "x": "\\u0000"}'], "NUL"),
        (["--payload", '{"count_to": 1, "x": "\\ud800"}'], "surrogate"),
        (["--payload", "[" * 100_000], "nested"),
        (["--payload", '{"count_to": 0}'], "count_to"),
        (["--payload", "@/no/such/file"], "cannot be read"),
        (["--payload", '"' + "x" * (1024 * 1024) + '"'], "1048576"),
        (["--delay", "-1"], "delay"),
        (["--delay", "nan"], "delay"),
        (["--deadline", "-5"], "in the past"),
        (["--deadline", "2001-01-01T00:00:00Z"], "in the past"),
        (["--deadline", "soon"], "neither seconds"),
        (["--deadline", "2030-13-01T00:00:00Z"], "neither seconds"),
        (["--deadline", "2030-01-01T00:00:00"], "no time zone. Say which it is meant in: 2030-01-01T00:00:00Z"),
        (["--deadline", "nan"], "deadline"),
        (["--priority", "99999"], "priority"),
        (["--namespace", "a b"], "namespace"),
        (["--resource", ""], "resources"),
        (["--resource", "{"], "no JSON"),
        (["--resource", '{"mode": "shared"}'], "resources"),
        (["--idempotency-key", ""], "idempotency_key"),
        (["--database", "nowhere"], "There is no database alias 'nowhere'"),
        (["--parent", "zzzz"], "no work item id"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_stored(options: list[str], says: str) -> None:
    code, message = refused(*ENQUEUE, "--payload", PAYLOAD, *options)
    assert code == 2
    assert says in message
    assert "\n" not in message
    assert len(message) < 500
    assert not WorkItem.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("url", ["example.com", "ftp://example.com/", "http://", "http://a b/", "javascript:alert(1)"])
def test_a_url_that_is_no_url_is_refused(url: str) -> None:
    code, message = refused("enqueue", "--engine", "watchlist", "--payload", json.dumps({"url": url}))
    assert code == 2
    assert "url" in message
    assert not WorkItem.objects.exists()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b"\xff\xfe{}")
    code, message = refused(*ENQUEUE, "--payload", f"@{file}")
    assert code == 2
    assert "no UTF-8" in message


def test_a_parent_that_does_not_exist_is_exit_code_3() -> None:
    assert refused(*ENQUEUE, "--payload", PAYLOAD, "--parent", uuid.uuid4())[0] == 3


def test_a_wrong_command_line_says_so() -> None:
    for arguments in (["enqueue"], ["enqueue", "--engine"], ["dance"], [], ["list", "--limit", "many"]):
        _, message = refused(*arguments)
        assert message.startswith("Error:")
