"""Turn values into what the admin shows. Whatever comes from outside is escaped here, and nowhere marked as safe."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from runtime import offload
from runtime.choices import State, WorkerState
from runtime.models import Worker, WorkItem
from runtime.queries import redaction
from runtime.queries.windows import Figure

JSON_CHARACTERS = 64 * 1024
"""Characters of a JSON value that a page shows."""
BRIEF_CHARACTERS = 160
VIEW_PAYLOAD = "roost.view_payload"
"""The permission to read what products and agents put in, and what they said when they failed."""

SHAPES: dict[str, str] = {
    State.QUEUED: "○",
    State.RUNNING: "▶",
    State.WAITING: "◔",
    State.PAUSED: "‖",
    State.DONE: "✓",
    State.FAILED: "✕",
    State.CANCELLED: "⊘",
    WorkerState.ONLINE: "●",
    WorkerState.DRAINING: "◐",
    WorkerState.OFFLINE: "○",
}
"""A shape for each state, so that it is told by form and word and not by colour alone."""


def badge(value: str, label: Any = None) -> SafeString:
    """Return a state as a badge: shape, word and tone."""
    return format_html(
        '<span class="roost-badge roost-{}"><span aria-hidden="true">{}</span> {}</span>',
        value,
        SHAPES.get(value, "•"),
        label or value,
    )


def state_badge(item: WorkItem) -> SafeString:
    """Return an item's state as a badge."""
    return badge(item.state, item.get_state_display())


def short_id(item: uuid.UUID) -> str:
    """Return both ends of an id: when it was made, and what tells it from others made then."""
    text = str(item)
    return f"{text[:8]}…{text[-12:]}"


def item_link(item: uuid.UUID | None, *, short: bool = True) -> SafeString | str:
    """Return a link to an item's page, a dash for none."""
    if item is None:
        return "-"
    url = reverse("admin:roost_workitem_change", args=[item])
    text = short_id(item) if short else str(item)
    return format_html('<a class="roost-id" href="{}" title="{}">{}</a>', url, item, text)


def worker_link(worker: uuid.UUID | None, row: Worker | None = None) -> SafeString | str:
    """Return a link to a worker's page, by its name where its row is at hand; a dash for none."""
    if worker is None:
        return "-"
    url = reverse("admin:roost_worker_change", args=[worker])
    return format_html('<a class="roost-id" href="{}">{}</a>', url, row or worker)


def list_url(model: str, **wanted: Any) -> str:
    """Return the address of a table's list, narrowed to what is wanted."""
    return reverse(f"admin:roost_{model}_changelist", query={key: str(value) for key, value in wanted.items()})


def pretty(value: Any) -> SafeString:
    """Return a JSON value indented, redacted and cut after `JSON_CHARACTERS`; of a moved one, where it is kept."""
    moved = offload.in_value(value)
    if moved is not None:
        kept = _("Kept in the artifact storage: %(size)s, sha256 %(sha256)s. `roost value` prints it.")
        return format_html("<p>{}</p>", kept % {"size": size(moved.size), "sha256": moved.sha256})
    text = _encoded(value, indent=2)
    cut = len(text) - JSON_CHARACTERS
    if cut <= 0:
        return format_html('<pre class="roost-json" tabindex="0">{}</pre>', text)
    more = _("… and %(count)s more characters: `roost inspect` prints them all") % {"count": cut}
    return format_html('<pre class="roost-json" tabindex="0">{}\n{}</pre>', text[:JSON_CHARACTERS], more)


def hidden() -> SafeString:
    """Say that there is a value which the user may not read."""
    text = _("hidden: needs permission %(name)s") % {"name": VIEW_PAYLOAD}
    return format_html('<span class="roost-quiet roost-hidden">{}</span>', text)


def brief(value: Any) -> str:
    """Return a JSON value on one short line, redacted, nothing for None."""
    if value is None:
        return ""
    text = _encoded(value)
    return text if len(text) <= BRIEF_CHARACTERS else text[:BRIEF_CHARACTERS] + "…"


def _encoded(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(redaction.shown(value), indent=indent, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # the product's callable returned what is no JSON
        return json.dumps(redaction.HOOK_FAILED)


def told(text: str) -> str:
    """Return a text that an engine said, redacted."""
    return str(redaction.shown(text))


def shortened(text: str) -> str:
    """Return the first `BRIEF_CHARACTERS` of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= BRIEF_CHARACTERS else line[:BRIEF_CHARACTERS] + "…"


def moment(at: dt.datetime | None) -> SafeString | str:
    """Return a time to the second with its machine-readable form, a dash for none."""
    if at is None:
        return "-"
    local = timezone.localtime(at)
    day, clock = local.strftime("%Y-%m-%d"), local.strftime("%H:%M:%S")
    return format_html('<time datetime="{}"><span>{}</span> <span>{}</span></time>', at.isoformat(), day, clock)


def seconds(value: float | None) -> str:
    """Return a length of time in milliseconds or seconds, nothing for None."""
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def figure(value: Figure) -> str:
    """Return a number of rows, and how sure it is."""
    number = f"{value.value:,}"
    if value.kind == "about":
        return _("about %(number)s") % {"number": number}
    return number if value.kind == "exact" else _("over %(number)s") % {"number": number}


def size(value: int) -> str:
    """Return a number of bytes with its unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            return f"{value} {unit}"
        value //= 1024
    return ""
