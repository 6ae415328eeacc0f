"""A run without a browser does not pass for one with it."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from tests.browser import conftest


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no Chromium."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.mark.usefixtures("no_browser")
def test_without_a_browser_tests_are_skipped_and_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(conftest.NEEDED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        conftest.chromium()


@pytest.mark.usefixtures("no_browser")
def test_where_a_browser_is_needed_its_absence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(conftest.NEEDED, "needed")
    with pytest.raises(AssertionError, match="apt-get install"):
        conftest.chromium()


def test_the_browser_leaves_no_event_loop_to_other_tests(driver: conftest.Driver) -> None:
    with driver.at_work():
        assert asyncio._get_running_loop() is not None
    assert asyncio._get_running_loop() is None
