"""Show a JSON value as a tree whose branches open and close, without a script. Escaped, redacted and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.admin import display
from runtime.queries import redaction

ONE_LINE = 100
"""Characters of a value that is shown on the line of its name."""
MOST_NODES = 2_000
DEEPEST = 40
TRUNK = "<li><details open>{}<ul>{}</ul></details></li>"
BRANCH = "<li><details>{}<ul>{}</ul></details></li>"


def folded(value: Any) -> SafeString:
    """Return the value as people may see it; the first branch is open. What lies beyond `MOST_NODES` is left out."""
    try:
        tree = _Tree()
        entry = tree.entry("", redaction.shown(value), depth=0)
    except (TypeError, ValueError, RecursionError):  # nested too deeply, or the product's callable returned no JSON
        return display.pretty(value)
    shown = format_html('<ul class="roost-tree" dir="ltr">{}</ul>', entry)
    if not tree.full:
        return shown
    more = _("There is more: download the file to read it all.")
    return format_html('{}<p class="roost-quiet">{}</p>', shown, more)


class _Tree:
    """Counts the nodes that were drawn."""

    def __init__(self) -> None:
        self.nodes = 0
        self.full = False

    def entry(self, name: str, value: Any, *, depth: int) -> SafeString:
        """Return a value under its name, as an element of a list."""
        self.nodes += 1
        text = json.dumps(value, ensure_ascii=False)
        label = format_html('<code class="roost-key">{}</code> ', name) if name else ""
        if not isinstance(value, dict | list) or len(text) <= ONE_LINE:
            return format_html("<li>{}<code>{}</code></li>", label, text)
        if depth >= DEEPEST:
            return format_html("<li>{}{}</li>", label, display.pretty(value))
        inner = format_html_join("", "{}", ([one] for one in self._entries(value, depth + 1)))
        told = format_html('<summary>{}<span class="roost-quiet">{}</span></summary>', label, _count(value))
        return format_html(BRANCH if depth else TRUNK, told, inner)

    def _entries(self, value: dict[str, Any] | list[Any], depth: int) -> Iterator[SafeString]:
        pairs = value.items() if isinstance(value, dict) else ((str(place), one) for place, one in enumerate(value))
        for name, inner in pairs:
            if self.nodes >= MOST_NODES:
                self.full = True
                return
            yield self.entry(str(name), inner, depth=depth)


def _count(value: dict[str, Any] | list[Any]) -> str:
    if isinstance(value, dict):
        return ngettext("object of %(count)d value", "object of %(count)d values", len(value)) % {"count": len(value)}
    return ngettext("list of %(count)d value", "list of %(count)d values", len(value)) % {"count": len(value)}
