"""Log lines for machines and for people: every extra is in them, and no secret."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runtime.choices import State
from runtime.logs import JSONFormatter, TextFormatter
from runtime.queries.redaction import HOOK_FAILED, REDACTED

pytestmark = pytest.mark.once

Lines = Callable[[], list[str]]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Return a logger that nobody else hears."""
    found = logging.getLogger(f"tests.logs.{uuid.uuid4()}")
    found.propagate = False
    found.setLevel(logging.DEBUG)
    yield found
    found.handlers.clear()


def hear(logger: logging.Logger, formatter: logging.Formatter) -> Lines:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return lambda: stream.getvalue().splitlines()


def one(lines: Lines) -> dict[str, Any]:
    [line] = lines()
    found: dict[str, Any] = json.loads(line)
    return found


class Stubborn:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_line_is_one_object_with_time_level_logger_message_and_every_extra(logger: logging.Logger) -> None:
    lines = hear(logger, JSONFormatter())
    before = dt.datetime.now(dt.UTC)
    logger.warning("item %s\nfailed", 7, extra={"work_item": "a", "attempt": 2, "tags": ["x", {"y": None}]})
    line = one(lines)
    at = dt.datetime.fromisoformat(line.pop("time"))
    assert before <= at <= dt.datetime.now(dt.UTC)
    assert at.utcoffset() == dt.timedelta(0)
    assert line == {
        "level": "WARNING",
        "logger": logger.name,
        "message": "item 7\nfailed",
        "work_item": "a",
        "attempt": 2,
        "tags": ["x", {"y": None}],
    }


def test_an_extra_that_is_no_json_is_text_and_never_costs_the_line(logger: logging.Logger) -> None:
    lines = hear(logger, JSONFormatter())
    loop: list[Any] = []
    loop.append(loop)
    odd = {
        "uuid": uuid.UUID(int=1),
        "when": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "money": Decimal("1.50"),
        "path": Path("a/b"),
        "nan": float("nan"),
        "huge": 10**5000,
        "state": State.DONE,
        "stubborn": Stubborn(),
        "loop": loop,
        "keys": {1: "one", None: "none"},
        "lone": "\ud800",
        "bytes": b"\xff",
        "some": {3},
        "time": "taken",
        "message_": "kept",
    }
    logger.info("odd", extra=odd)
    line = one(lines)
    assert line["uuid"] == str(uuid.UUID(int=1))
    assert (line["when"], line["money"], line["path"]) == ("2026-01-02T00:00:00+00:00", "1.50", "a/b")
    assert (line["nan"], line["huge"], line["state"]) == ("nan", hex(10**5000), "done")
    assert line["stubborn"] == "<Stubborn whose text cannot be read>"
    assert (line["keys"], line["lone"], line["some"]) == ({"1": "one", "None": "none"}, "\ud800", [3])
    assert line["extra_time"] == "taken"
    assert set(odd) - {"time"} <= set(line)


def test_arguments_that_do_not_fit_the_message_do_not_cost_the_line() -> None:
    record = logging.makeLogRecord({"msg": "%d of %d", "args": ("one",)})
    assert json.loads(JSONFormatter().format(record))["message"] == "%d of %d ('one',)"


def test_an_exception_that_another_process_has_made_text_of_is_told() -> None:
    record = logging.makeLogRecord({"msg": "far away", "exc_text": "Traceback: bad"})
    assert json.loads(JSONFormatter().format(record))["exception"] == "Traceback: bad"


def test_an_exception_is_told_with_its_traceback(logger: logging.Logger) -> None:
    lines = hear(logger, JSONFormatter())
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("it broke", stack_info=True)
    line = one(lines)
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith("ValueError: bad")
    assert "test_logs" in line["stack"]


def test_no_exception_is_no_key() -> None:
    record = logging.makeLogRecord({"msg": "fine", "exc_info": (None, None, None)})
    assert "exception" not in json.loads(JSONFormatter().format(record))


@pytest.mark.parametrize("formatter", [JSONFormatter, TextFormatter])
def test_secrets_are_masked_in_extras_message_and_traceback(logger: logging.Logger, formatter: Any) -> None:
    lines = hear(logger, formatter())
    try:
        raise ValueError("at postgres://me:hunter2@db/x")
    except ValueError:
        logger.exception("sent Bearer hunter2secret", extra={"api_key": "hunter2", "deep": {"password": "hunter2"}})
    text = "\n".join(lines())
    assert "hunter2" not in text
    assert text.count(REDACTED) == 5


def shout(value: Any) -> Any:
    logging.getLogger(value["logger_name"]).info("the hook logs", extra={"iban": "DE1"})
    return {**value, "iban": "[iban]"}


def listed(value: Any) -> Any:
    return [1]


def fails(value: Any) -> Any:
    raise RuntimeError("no")


def test_the_products_own_mask_is_applied_and_may_log_itself(logger: logging.Logger, settings: Any) -> None:
    settings.ROOST_REDACT = f"{__name__}.shout"
    lines = hear(logger, JSONFormatter())
    logger.info("paid", extra={"iban": "DE2", "logger_name": logger.name})
    inner, outer = (json.loads(line) for line in lines())
    assert (inner["message"], inner["iban"]) == ("the hook logs", "DE1")
    assert (outer["message"], outer["iban"]) == ("paid", "[iban]")


@pytest.mark.parametrize(("hook", "told"), [("listed", [1]), ("fails", HOOK_FAILED), ("missing", HOOK_FAILED)])
def test_a_mask_that_fails_or_makes_something_else_hides_the_extras_and_keeps_the_line(
    logger: logging.Logger, settings: Any, hook: str, told: Any
) -> None:
    settings.ROOST_REDACT = f"{__name__}.{hook}"
    lines = hear(logger, JSONFormatter())
    logger.info("paid", extra={"iban": "DE2"})
    assert (one(lines)["message"], one(lines)["extra"]) == ("paid", told)
    assert "DE2" not in lines()[0]


def test_a_mask_of_another_type_hides_the_extras(logger: logging.Logger, settings: Any) -> None:
    settings.ROOST_REDACT = 7
    lines = hear(logger, JSONFormatter())
    logger.info("paid", extra={"iban": "DE2"})
    assert one(lines)["extra"] == "[hidden: BadSetting]"


def test_people_read_extras_as_key_and_value_on_the_line_of_the_message(logger: logging.Logger) -> None:
    lines = hear(logger, TextFormatter("%(levelname)s %(message)s"))
    extra = {"work_item": "a-1", "label": "two words", "forged": "x\nERROR y", "n": 3, "none": None, "empty": ""}
    try:
        raise ValueError("bad")
    except ValueError:
        logger.warning("slow", exc_info=sys.exc_info(), extra=extra)
    first, second, *_rest = lines()
    assert first == 'WARNING slow work_item=a-1 label="two words" forged="x\\nERROR y" n=3 none=null empty=""'
    assert second.startswith("Traceback")
