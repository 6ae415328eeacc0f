"""An item's story step by step, and its states side by side: pages of their own under the item's, bounded and paged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from console.actions import Confirmation, OperatorAction
from console.admin import display
from console.admin.base import ReadOnlyAdmin, may_read_payload, may_view
from console.item_actions import ACTIONS
from runtime.choices import EventKind, State
from runtime.exceptions import RoostError
from runtime.models import Artifact, Event, JournalEntry, Snapshot, Wait, WorkItem
from runtime.queries.chapters import Happening
from runtime.queries.explain import ToldStep, explain
from runtime.queries.items import HEAVY
from runtime.queries.jsondiff import Difference, compare
from runtime.queries.redaction import shown
from runtime.queries.values import state_of
from runtime.queries.words import for_people, spent
from runtime.sentences import translated
from runtime.store import work_database

STEPS = 25
"""Steps that a page tells."""
EVENTS = 500
"""Events that a page reads; a step that left more goes on on the next one."""
LATEST = 150
"""Events from whose number on the latest page begins."""
VERSIONS = 500
"""Versions that are offered to choose from."""
MOST_DIGITS = 18


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Something that happened in a step; `message` and `traceback` are empty for those who may not read them."""

    happening: Happening
    kind: str
    why: str
    message: str
    traceback: str
    unread: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRow:
    """A step as the page tells it. `took` is the step's own time, `lasted` that from its claim to its commit.

    `kept` says whether there is a snapshot of its state, from which the item could go on.
    """

    told: ToldStep
    took: str
    used: str
    lasted: str
    happenings: tuple[Told, ...]
    kept: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class WayBack:
    """A verb by which an item goes on from an earlier step, and the field in which its form has the step."""

    action: OperatorAction
    field: str
    title: str


class StoryPages(ReadOnlyAdmin):
    """The pages beside an item's own."""

    story_template = "roost/story.html"
    state_template = "roost/state.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the pages."""
        story, state = self.admin_site.admin_view(self.story_view), self.admin_site.admin_view(self.state_view)
        return [
            path("<uuid:item>/story/", story, name="roost_workitem_story"),
            path("<uuid:item>/state/", state, name="roost_workitem_state"),
            *super().get_urls(),
        ]

    def story_view(self, request: HttpRequest, item: Any) -> HttpResponse:
        """Tell the item's steps from the event `?after=` on. Reads only."""
        found = self._item(request, item, Event)
        run = explain(found, after=_number(request, "after") or 0, limit=STEPS, most=EVENTS, using=work_database())
        reads, ways = may_read_payload(request), _ways_back(request, found)
        kept = _kept(found, [step.chapter.step for step in run.steps]) if ways else frozenset()
        context = {
            "title": _("Story"),
            "run": run,
            "steps": [_row(step, reads=reads, kept=step.chapter.step in kept) for step in run.steps],
            "ways_back": ways,
            "confirmation": str(Confirmation.of(found)),
            "latest": max(0, found.event_seq - LATEST),
            "sees_calls": may_view(request, JournalEntry),
            "sees_waits": may_view(request, Wait),
            "sees_files": may_view(request, Artifact),
            "reads_payload": reads,
        }
        return self._page(request, found, self.story_template, context)

    def state_view(self, request: HttpRequest, item: Any) -> HttpResponse:
        """Show the state after step `?version=`, and how that of `?against=` differs from it. Reads only."""
        found = self._item(request, item, Snapshot)
        kept = Snapshot.objects.using(work_database()).filter(work_item=found).order_by("-version")
        versions = list(kept.values_list("version", flat=True)[: VERSIONS + 1])
        reads = may_read_payload(request)
        context = {
            "title": _("State"),
            "versions": versions[:VERSIONS],
            "more_versions": len(versions) > VERSIONS,
            "reads_payload": reads,
            **(self._states(request, found, versions) if reads else {}),
        }
        return self._page(request, found, self.state_template, context)

    def _states(self, request: HttpRequest, item: WorkItem, versions: list[int]) -> dict[str, Any]:
        latest = versions[0] if versions else None
        wanted, against = _number(request, "version"), _number(request, "against")
        version = latest if wanted is None else wanted
        try:
            after = _state(item, version)
            before = _state(item, against)
        except RoostError as error:
            return {"version": version, "against": against, "error": translated(error)}
        difference: Difference | None = None
        if before is not None and after is not None:
            difference = compare(before[0], after[0])
        return {"version": version, "against": against, "state": after, "difference": difference}

    def _item(self, request: HttpRequest, item: Any, model: type[Any]) -> WorkItem:
        if not self.has_view_permission(request) or not may_view(request, model):
            raise PermissionDenied
        found: WorkItem | None = self.get_queryset(request).filter(pk=item).defer(*HEAVY).first()
        if found is None:
            raise Http404(f"There is no work item {item}.")
        return found

    def _page(self, request: HttpRequest, item: WorkItem, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, "item": item}
        return TemplateResponse(request, template, {**shared, **context})


def _state(item: WorkItem, version: int | None) -> tuple[Any] | None:
    """Return a state as people may see it, in a tuple since None is one; None for no version. Raises `RoostError`."""
    if version is None:
        return None
    found = Snapshot.objects.using(work_database()).filter(work_item=item, version=version).first()
    if found is None:
        raise RoostError(_("There is no snapshot of version %(version)s.") % {"version": version})
    return (shown(state_of(found)),)


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "").strip()
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def _ways_back(request: HttpRequest, item: WorkItem) -> tuple[WayBack, ...]:
    """Return the verbs that take the item, or a new one, back to a step, as far as the user and its state allow."""
    ways = (
        ("redrive", "from_version", _("Redrive from here"), item.state == State.FAILED),
        ("fork", "version", _("Fork from here"), True),
    )
    actions = {action.name: action for action in ACTIONS if action.allowed(request.user)}
    return tuple(
        WayBack(action=actions[name], field=f"value-{field}", title=title)
        for name, field, title, fits in ways
        if fits and name in actions
    )


def _kept(item: WorkItem, steps: list[int]) -> frozenset[int]:
    """Return those of the steps whose state is kept."""
    found = Snapshot.objects.using(work_database()).filter(work_item=item, version__in=steps)
    return frozenset(found.values_list("version", flat=True))


def _row(step: ToldStep, *, reads: bool, kept: bool) -> StepRow:
    chapter = step.chapter
    over = chapter.committed_at and chapter.began_at and (chapter.committed_at - chapter.began_at).total_seconds()
    return StepRow(
        told=step,
        took=display.seconds(chapter.duration),
        used=spent(chapter.tokens, chapter.cost),
        lasted=display.seconds(over) if over else "",
        happenings=tuple(_told(one, reads=reads) for one in chapter.happenings),
        kept=kept and chapter.committed_at is not None,
    )


def _told(one: Happening, *, reads: bool) -> Told:
    data = one.data if isinstance(one.data, dict) else {}
    failed = one.kind in (EventKind.RETRY, EventKind.FAILED, EventKind.CALL_FAILED)
    message, traceback = str(data.get("message") or ""), str(data.get("traceback") or "")
    return Told(
        happening=one,
        kind=str(EventKind(one.kind).label) if one.kind in EventKind.values else one.kind,
        why=translated(for_people(one.reason)) if one.reason else "",
        message=display.told(message) if reads and message else "",
        traceback=display.told(traceback) if reads and traceback else "",
        unread=failed and bool(message) and not reads,
    )
