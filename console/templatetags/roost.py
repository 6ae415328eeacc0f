"""What Roost's templates say with the same words and shapes as the admin's columns."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django import template
from django.utils.safestring import SafeString

from console.actions import Confirmation, item_of
from console.admin import display
from console.admin.folded import folded
from console.admin.overview import Overview, overview_page
from console.previews import Preview, preview_of
from runtime.models import Artifact, WorkItem
from runtime.queries.windows import Figure
from runtime.sentences import translated

register = template.Library()


@register.filter
def roost_state(item: WorkItem) -> SafeString:
    """Show an item's state as a badge."""
    return display.state_badge(item)


@register.filter
def roost_moment(at: dt.datetime | None) -> SafeString | str:
    """Show a time to the second."""
    return display.moment(at)


@register.filter
def roost_seconds(value: float | None) -> str:
    """Show a length of time."""
    return display.seconds(value)


@register.filter
def roost_size(value: int) -> str:
    """Show a number of bytes."""
    return display.size(value)


@register.filter
def roost_json(value: object) -> SafeString:
    """Show a JSON value, escaped and bounded."""
    return display.pretty(value)


@register.filter
def roost_folded(value: object) -> SafeString:
    """Show a JSON value as a tree that opens and closes."""
    return folded(value)


@register.filter
def roost_told(text: str) -> str:
    """Show a text, redacted."""
    return display.told(text)


@register.filter
def roost_brief(value: object) -> str:
    """Show a JSON value on one short line; null is a value too."""
    return "null" if value is None else display.brief(value)


@register.filter
def roost_item(item: uuid.UUID | None) -> SafeString | str:
    """Link an item's page by the whole id."""
    return display.item_link(item, short=False)


@register.filter
def roost_item_of(row: object) -> WorkItem:
    """Return the item that a row is, or belongs to."""
    return item_of(row)


@register.filter
def roost_token(row: object) -> str:
    """Return what a form names a row by."""
    return str(Confirmation.of(row))


@register.filter
def roost_sentence(sentence: object) -> str:
    """Tell a sentence of the runtime in the language of the page."""
    return translated(sentence)


@register.simple_tag
def roost_hidden() -> SafeString:
    """Say that something is there which the user may not read."""
    return display.hidden()


@register.filter
def roost_figure(value: Figure) -> str:
    """Show a number of rows, and how sure it is."""
    return display.figure(value)


@register.simple_tag
def roost_preview(artifact: Artifact) -> Preview:
    """Read what may be shown of a file, out of the artifact storage."""
    return preview_of(artifact, artifact.blob.path)


@register.simple_tag(takes_context=True)
def roost_overview(context: dict[str, Any]) -> Overview:
    """Read what the overview shows to the user of the request."""
    return overview_page(context["request"])
