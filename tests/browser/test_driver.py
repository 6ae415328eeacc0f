"""The browser gets along with the other tests of its process."""

from __future__ import annotations

import asyncio

from tests.browser import conftest


def test_the_browser_leaves_no_event_loop_to_other_tests(driver: conftest.Driver) -> None:
    with driver.at_work():
        assert asyncio._get_running_loop() is not None
    assert asyncio._get_running_loop() is None
