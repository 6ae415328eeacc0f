"""One browser, one server and one worker for all of these tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from roost_project.console import free_port
from tests.browser.stack import THEMED, Stack
from tests.programs import program

PATIENCE = 15_000

Open = Callable[..., Page]


class Driver:
    """The browser, and the event loop that Playwright leaves running in this thread.

    Other tests of this process run loops of their own, so Playwright's is the thread's only `at_work`.
    """

    def __init__(self, program: str) -> None:
        self._playwright = sync_playwright().start()
        self._loop = asyncio._get_running_loop()
        self.browser: Browser = self._playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        asyncio._set_running_loop(None)

    @contextmanager
    def at_work(self) -> Iterator[Browser]:
        """Give the browser while the block runs."""
        asyncio._set_running_loop(self._loop)
        try:
            yield self.browser
        finally:
            asyncio._set_running_loop(None)

    def stop(self) -> None:
        """End the browser and what drives it."""
        with self.at_work():
            self.browser.close()
            self._playwright.stop()


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """Give the browser."""
    made = Driver(program("chromium"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def stack(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a server and a worker on a database of their own."""
    made = Stack(tmp_path_factory.mktemp("browser"))
    try:
        made.work()
        made.serve()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def themed(stack: Stack) -> str:
    """Give the address of a server that shows the same in a foreign theme."""
    port = free_port(0)
    stack.serve("themed", port=port, settings=THEMED)
    return f"http://127.0.0.1:{port}"


class Visitor:
    """Somebody who is logged in, and what his browser complained of."""

    def __init__(self, context: BrowserContext, stack: Stack, address: str) -> None:
        self.context = context
        self.address = address
        self.complaints: list[str] = []
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": "sessionid", "value": stack.made["session"], "url": address}])
        context.on("console", lambda said: self._note(said.type, said.text, said.location.get("url", "")))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _note(self, kind: str, text: str, where: str) -> None:
        # While the server is away, the browser says of each try that nobody answered. The icon is the product's; what
        # comes from nowhere is axe-core.
        away = "net::ERR_" in text or "WebSocket connection to" in text
        if kind == "error" and not away and where and not where.endswith("/favicon.ico"):
            self.complaints.append(f"{text} {where}")

    def open(self, path: str) -> Page:
        """Open a page in a tab of its own."""
        page = self.context.new_page()
        page.goto(f"{self.address}{path}")
        return page


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(driver: Driver, stack: Stack) -> Iterator[Visit]:
    """Let somebody come with a browser of this kind; nothing may be complained of, refusals of the policy above all."""
    with driver.at_work() as browser:
        came: list[Visitor] = []

        def come(address: str = "", **options: Any) -> Visitor:
            came.append(Visitor(browser.new_context(**options), stack, address or stack.address))
            return came[-1]

        yield come
        for visitor in came:
            visitor.context.close()
    assert [visitor.complaints for visitor in came] == [[]] * len(came)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Give the file without which the engine `gate` is stuck."""
    return tmp_path / "open"
