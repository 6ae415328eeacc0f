"""Every page is accessible, passes a strict policy, and holds in other directions, sizes and themes."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib import admin
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Page, Route, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="pages look the same on every database"),
]

DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
GRAVE = {"serious", "critical"}
NOT_OURS = "label-title-only"
"""Django names its search field by a picture's text, which this rule does not count; the field has a name."""
RUN = """async (rules) => {
  const only = rules ? { runOnly: { type: "rule", values: rules } } : {};
  const options = { resultTypes: ["violations"], ...only };
  const found = await axe.run(document, options);
  return found.violations.map((one) => ({
    id: one.id, impact: one.impact, nodes: one.nodes.map((node) => [node.html, node.failureSummary]),
  }));
}"""
MODELS = sorted(model._meta.model_name for model in admin.site._registry if model._meta.app_label == "roost")
OF_AN_ITEM = ("change", "story", "state", "history")
OF_NONE = ("roost_workitem_dead", "roost_workitem_enqueue", "roost_mailbox_send")
ADDED = ("apitoken", "limit", "schedule", "trigger")


def violations(page: Page, *rules: str) -> list[Any]:
    """Return what axe-core finds serious or critical on the page."""
    if not page.evaluate("() => typeof window.axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(RUN, list(rules) or None)
    return [one for one in found if one["impact"] in GRAVE and one["id"] != NOT_OURS]


def show(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Show the page in light or in dark; colours that fade in are there at once."""
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.getAnimations().forEach((one) => one.finish())")


def judge(page: Page) -> list[Any]:
    """Look at the page in light and in dark."""
    show(page, "light")
    found = violations(page)
    show(page, "dark")
    found += [("dark", one) for one in violations(page, "color-contrast")]
    return [(page.url, one) for one in found]


def pages_beside_the_tables(stack: Stack) -> list[str]:
    """Return the pages that are no table's, and the forms that add a row."""
    item = stack.made["item"]
    of_the_item = [reverse(f"admin:roost_workitem_{name}", args=[item]) for name in OF_AN_ITEM]
    added = [reverse(f"admin:roost_{model}_add") for model in ADDED]
    others = [reverse(f"admin:{name}") for name in OF_NONE]
    return [reverse("admin:app_list", args=["roost"]), *of_the_item, *others, *added]


def sideways(page: Page) -> bool:
    """Say whether the page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def judged(page: Page, address: str) -> list[Any]:
    """Go to a page and look at it, at a desk and on a phone."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200, address
    page.set_viewport_size(PHONE)
    wide = [f"{address} scrolls sideways on a phone"] * sideways(page)
    page.set_viewport_size(DESK)
    return wide + [f"{address} scrolls sideways at a desk"] * sideways(page) + judge(page)


@pytest.mark.parametrize("model", MODELS)
def test_axe_finds_nothing_grave_on_a_tables_pages_in_light_and_dark(model: str, visit: Visit, stack: Stack) -> None:
    visitor = visit()
    page = visitor.context.new_page()
    assert judged(page, f"{stack.address}{reverse(f'admin:roost_{model}_changelist')}") == []
    row = page.locator("#result_list tbody th a").first.get_attribute("href")
    assert judged(page, f"{stack.address}{row}") == []


def test_axe_finds_nothing_grave_on_the_other_pages_in_light_and_dark(visit: Visit, stack: Stack) -> None:
    page = visit().context.new_page()
    found = {address: judged(page, f"{stack.address}{address}") for address in pages_beside_the_tables(stack)}
    assert {address: grave for address, grave in found.items() if grave} == {}


@pytest.mark.parametrize("verb", ["fork", "reset_call"])
def test_axe_finds_nothing_grave_on_a_page_that_confirms(verb: str, visit: Visit, stack: Stack) -> None:
    page = visit().open(reverse("admin:roost_workitem_change", args=[stack.made["item"]]))
    page.locator(f"#roost-verb-{verb}").click()
    expect(page.locator(".roost-confirm")).to_be_visible()
    page.set_viewport_size(PHONE)
    assert not sideways(page)
    page.set_viewport_size(DESK)
    assert judge(page) == []


@pytest.mark.parametrize("verb", ["run", "pause"])
def test_axe_finds_nothing_grave_on_a_page_that_confirms_a_verb_for_a_schedule(
    verb: str, visit: Visit, stack: Stack
) -> None:
    page = visit().open(reverse("admin:roost_schedule_changelist"))
    page.locator(f'button[formaction$="/verb/{verb}/"]').first.click()
    expect(page.locator(".roost-confirm")).to_be_visible()
    page.set_viewport_size(PHONE)
    assert not sideways(page)
    page.set_viewport_size(DESK)
    assert judge(page) == []


@pytest.mark.newest
def test_a_page_that_breaks_the_policy_would_be_noticed(visit: Visit, stack: Stack) -> None:
    visitor = visit()

    def careless(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("</head>", "<style>p { color: red }</style></head>"))

    visitor.context.route("**/roost/workitem/dead/", careless)
    visitor.open(reverse("admin:roost_workitem_dead")).wait_for_load_state("networkidle")
    assert any("Content Security Policy" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()


def main_pages(stack: Stack) -> list[str]:
    """Return the pages that are looked at most."""
    item = reverse("admin:roost_workitem_change", args=[stack.made["item"]])
    lists = [reverse(f"admin:roost_{name}_changelist") for name in ("workitem", "wait")]
    return [reverse("admin:app_list", args=["roost"]), *lists, item]


@pytest.mark.parametrize("kind", ["arabic", "narrow"])
def test_the_main_pages_hold_from_right_to_left_and_on_a_narrow_screen(kind: str, visit: Visit, stack: Stack) -> None:
    arabic = {"locale": "ar", "viewport": DESK}
    page = visit(**(arabic if kind == "arabic" else {"viewport": PHONE})).open("/admin/")
    for address in main_pages(stack):
        page.goto(f"{stack.address}{address}")
        assert not sideways(page), f"{address} scrolls sideways"
        assert page.locator("html").get_attribute("dir") == ("rtl" if kind == "arabic" else "ltr")
        assert violations(page) == []


@pytest.mark.parametrize(
    ("listing", "last"), [("workitem", "updated"), ("wait", "until"), ("worker", "beat"), ("journalentry", "verbs")]
)
def test_what_one_looks_for_in_a_list_is_in_sight_beside_menu_and_filters(
    listing: str, last: str, visit: Visit, stack: Stack
) -> None:
    page = visit(viewport=DESK).open(reverse(f"admin:roost_{listing}_changelist"))
    column, room = (page.locator(one).first.bounding_box() for one in (f"th.column-{last}", "#changelist .results"))
    assert column is not None
    assert room is not None
    assert column["x"] + column["width"] <= room["x"] + room["width"]


def test_an_item_is_mended_in_a_foreign_theme(visit: Visit, stack: Stack, themed: str) -> None:
    item = stack.enqueue("counter", {"count_to": 2}, delay=3600)
    page = visit(themed).open(reverse("admin:app_list", args=["roost"]))
    assert page.locator("link[href*='unfold']").count() > 0
    expect(page.locator(".roost-tiles")).to_be_visible()
    page.goto(f"{themed}{reverse('admin:roost_workitem_changelist')}?q={item}")
    page.locator("#result_list a", has_text=item[-12:]).first.click()
    expect(page.locator(".roost-head")).to_contain_text(item)
    page.locator("#roost-verb-cancel").click()
    page.locator("#roost-reason").fill("A theme is no reason to wait.")
    page.locator("button[name=confirmed]").click()
    expect(page.locator(".roost-head .roost-cancelled")).to_be_visible()
    assert stack.state(item) == "cancelled"
