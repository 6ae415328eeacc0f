"""The command tells what an engine keeps, and fails for a promise that it breaks."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.runtime.conformance.broken_engines import Wild

pytestmark = pytest.mark.django_db


def test_the_command_prints_the_report_and_fails_for_a_broken_promise(settings: Any) -> None:
    settings.ROOST_ENGINES = {
        **settings.ROOST_ENGINES,
        "wild": f"{Wild.__module__}.{Wild.__qualname__}",
    }
    out = StringIO()
    payload = json.dumps({"count_to": 2})
    call_command("roost", "conformance", "engine", "counter", "--payload", payload, "--format", "json", stdout=out)
    assert json.loads(out.getvalue())["levels"]["pure"] == "kept"
    out = StringIO()
    with pytest.raises(CommandError, match="1 promises are broken"):
        call_command("roost", "conformance", "engine", "wild", "--payload", '{"to": 1}', stdout=out)
    assert "broken  states, results and details are plain JSON" in out.getvalue()
