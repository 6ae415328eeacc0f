"""The refund's calls are guarded as those of every engine whose URLs come from somebody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engines.refund.engine import post
from runtime.exceptions import RefusedAddress
from runtime.outgoing import BadStatus
from tests.runtime.outgoing.echo import echoing


@pytest.mark.scenario("S10")
def test_a_service_is_called_where_that_is_allowed_and_nowhere_else(settings: Any) -> None:
    with echoing() as echo:
        settings.ROOST_OUTGOING_ALLOW = []
        with pytest.raises(RefusedAddress):
            asyncio.run(post(echo.url(), {"order": "A-7"}, idempotency_key="k-1"))
        assert echo.seen == []
        settings.ROOST_OUTGOING_ALLOW = ["127.0.0.1"]
        assert asyncio.run(post(echo.url(), {"order": "A-7"}, idempotency_key="k-1")) == {"method": "POST"}
        [(_, _, headers, body)] = echo.seen
        assert (headers["idempotency-key"], headers["content-type"]) == ("k-1", "application/json")
        assert body == b'{"order": "A-7"}'
        with pytest.raises(BadStatus):
            asyncio.run(post(echo.url("/status/503"), {}, idempotency_key="k-2"))
