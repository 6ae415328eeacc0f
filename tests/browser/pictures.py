"""Take pictures of the console with its demo data: `python -m tests.browser.pictures FOLDER`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import chromium
from tests.browser.stack import Stack

SETTLE_SECONDS = 20.0
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
KINDS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": DESK},
    "dark": {"color_scheme": "dark", "viewport": DESK},
    "narrow": {"color_scheme": "light", "viewport": PHONE},
    "arabic": {"color_scheme": "light", "viewport": DESK, "locale": "ar"},
}


def pages(stack: Stack) -> dict[str, str]:
    """Name the pages; the item is one with a story."""
    story = stack.enqueue("invoice", {"number": "A-99", "amount": 120, "trouble": "currency"})
    return {
        "overview": "/admin/roost/",
        "list": "/admin/roost/workitem/",
        "item": f"/admin/roost/workitem/{story}/change/",
        "story": f"/admin/roost/workitem/{story}/story/",
        "waits": "/admin/roost/wait/",
        "dead": "/admin/roost/workitem/dead/",
    }


def take(browser: Browser, stack: Stack, folder: Path) -> None:
    """Take a picture of each page in each kind."""
    addresses = pages(stack)
    # So that the demo has something to tell.
    time.sleep(SETTLE_SECONDS)
    for kind, options in KINDS.items():
        context = browser.new_context(**options)
        context.add_cookies([{"name": "sessionid", "value": stack.made["session"], "url": stack.address}])
        page = context.new_page()
        for name, path in addresses.items():
            page.goto(f"{stack.address}{path}")
            if name == "list":
                page.locator(".roost-bar").wait_for(state="visible")
            page.screenshot(path=folder / f"{name}-{kind}.png", full_page=kind == "narrow")
        context.close()


def main(folder: Path) -> None:
    """Serve a demo of its own, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        stack = Stack(Path(scratch), "--demo")
        try:
            stack.work()
            stack.serve()
            take(playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"]), stack, folder)
        finally:
            stack.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
