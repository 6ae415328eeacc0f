"""An operator finds what is stuck, mends it and watches it finish, whatever line and server do meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.gate import STEPS
from tests.browser.stack import Stack
from tests.processes.tree import eventually

pytestmark = [pytest.mark.slow, pytest.mark.scenario("B18")]

SECONDS = 30.0
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def stuck(stack: Stack, gate: Path) -> str:
    """Give an item that has failed for good and needs somebody."""
    item = stack.enqueue("gate", {"file": str(gate)}, idempotency_key=f"stuck-{gate.parent.name}")
    eventually(SECONDS, lambda: stack.state(item) == "failed", "a stuck item")
    return item


def find(page: Page, item: str, key: str) -> None:
    """Go from the overview to the item by a search."""
    page.locator(".roost-tiles a[href*='state__exact=failed']").click()
    page.locator("#searchbar").fill(f"engine:gate state:failed key:{key}")
    page.locator("#changelist-search [type=submit]").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.locator("#result_list tbody th a").click()
    expect(page.locator(".roost-head")).to_contain_text(item)


def redrive(page: Page) -> None:
    """Press the button, give a reason, and confirm."""
    page.locator("#roost-verb-redrive").click()
    expect(page.locator(".roost-confirm")).to_contain_text("1 item will change")
    page.locator("#roost-reason").fill("The gate is open again.")
    page.locator("button[name=confirmed]").click()
    expect(page.locator(".messagelist")).to_be_visible()


def mark(page: Page) -> None:
    """Note that the page has not been loaded again since."""
    page.evaluate("window.roostMark = true")


def expect_the_end(page: Page, stack: Stack, item: str) -> None:
    """Expect that the page shows the item's end and every event of it, without having been loaded again."""
    expect(page.locator(".roost-head .roost-done")).to_be_visible(timeout=2 * SECONDS * 1000)
    last = stack.events(item)
    told = page.locator("[data-roost-live=events] tbody tr td:first-child")
    expect(told).to_have_count(last)
    assert [int(text) for text in told.all_inner_texts()] == list(range(last, 0, -1))
    assert page.evaluate("window.roostMark") is True
    # What stands below the story is up to date, too.
    assert str(STEPS) in (page.locator(".field-shown_result pre").text_content() or "")


@pytest.mark.newest
def test_a_stuck_item_is_found_mended_and_watched_to_its_end_without_a_reload(
    visit: Visit, stack: Stack, stuck: str, gate: Path
) -> None:
    page = visit().open("/admin/roost/")
    find(page, stuck, f"stuck-{gate.parent.name}")
    expect(page.locator(".roost-head")).to_contain_text("The gate is shut.")
    expect(page.locator(".roost-why")).not_to_be_empty()
    gate.touch()
    redrive(page)
    mark(page)
    expect_the_end(page, stack, stuck)
    assert page.locator("[data-roost-page]").get_attribute("data-roost-way") == "socket"
    expect(page.locator("[data-roost-live=events]")).to_contain_text("boss")


def test_the_same_goes_by_forms_alone_where_there_is_no_javascript(
    visit: Visit, stack: Stack, stuck: str, gate: Path
) -> None:
    page = visit(java_script_enabled=False).open("/admin/roost/")
    find(page, stuck, f"stuck-{gate.parent.name}")
    gate.touch()
    redrive(page)
    eventually(SECONDS, lambda: stack.state(stuck) == "done", "the item's end")
    page.reload()
    expect(page.locator(".roost-head .roost-done")).to_be_visible()


def test_no_event_is_missed_when_the_server_is_killed_and_comes_back(
    visit: Visit, stack: Stack, stuck: str, gate: Path
) -> None:
    visitor = visit()
    page, listing = visitor.open(f"/admin/roost/workitem/{stuck}/change/"), visitor.open("/admin/roost/workitem/")
    mark(page)
    expect(page.locator("[data-roost-way=socket]")).to_be_attached()
    first = listing.locator("#result_list tbody tr").first
    place = first.bounding_box()
    stack.kill()
    try:
        gate.touch()
        stack.command("redrive", stuck)
        eventually(SECONDS, lambda: stack.ended(stuck), "the item's end while the server is away")
    finally:
        stack.serve()
    expect_the_end(page, stack, stuck)
    expect(listing.locator(".roost-bar")).to_be_visible()
    assert first.bounding_box() == place, "rows stay under the pointer"


@pytest.mark.parametrize("way", ["stream", "ask"])
def test_a_page_without_a_socket_is_told_by_other_ways(way: str, visit: Visit, stack: Stack, gate: Path) -> None:
    gate.touch()
    visitor = visit()
    visitor.context.route_web_socket("**/roost/live/", lambda socket: socket.close())
    if way == "ask":
        visitor.context.route("**/changes/stream/**", lambda route: route.abort())
    item = stack.enqueue("gate", {"file": str(gate)}, delay=1.0)
    page = visitor.open(f"/admin/roost/workitem/{item}/change/")
    mark(page)
    expect_the_end(page, stack, item)
    assert page.locator("[data-roost-page]").get_attribute("data-roost-way") == way


def test_how_far_a_step_is_is_seen_without_a_reload(visit: Visit, stack: Stack, gate: Path) -> None:
    item = stack.enqueue("gate", {"file": str(gate), "waits": True})
    eventually(SECONDS, lambda: stack.state(item) == "running", "a step that runs")
    page = visit().open(f"/admin/roost/workitem/{item}/change/")
    mark(page)
    expect(page.locator(".roost-facts")).to_contain_text("42 % · before the gate", timeout=SECONDS * 1000)
    gate.touch()
    expect_the_end(page, stack, item)
    expect(page.locator(".roost-facts")).not_to_contain_text("before the gate")


def test_a_hidden_tab_rests_and_catches_up_when_it_is_shown(visit: Visit, stack: Stack) -> None:
    item = stack.enqueue("counter", {"count_to": 1}, delay=3600)
    visitor = visit()
    page = visitor.context.new_page()
    with page.expect_websocket() as opened:
        page.goto(f"{visitor.address}/admin/roost/workitem/{item}/change/")
    mark(page)
    expect(page.locator("[data-roost-way=socket]")).to_be_attached()
    with opened.value.expect_event("close"):
        page.evaluate(HIDE, True)
    stack.prioritise(item, 7)
    newest = page.locator("[data-roost-live=events] tbody tr td:first-child").first
    assert newest.inner_text() == "1"
    page.evaluate(HIDE, False)
    expect(newest).to_have_text("2")
    assert page.evaluate("window.roostMark") is True


def test_a_list_says_how_many_items_changed_and_leaves_it_to_the_reader_when_to_look(
    visit: Visit, stack: Stack
) -> None:
    page = visit().open("/admin/roost/workitem/?q=engine:counter")
    first = page.locator("#result_list tbody tr").first
    expect(first).to_be_visible()
    shown = first.inner_text()
    new = stack.enqueue("counter", {"count_to": 1}, delay=3600)
    bar = page.locator(".roost-bar")
    expect(bar).to_contain_text("changed")
    assert first.inner_text() == shown
    bar.get_by_role("link", name="refresh").click()
    expect(page.locator("#result_list")).to_contain_text(new[-12:])
