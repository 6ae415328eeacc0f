"""Decide what becomes of a work item: each verb is a POST below it, refused with 412 or 409 where it does not fit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from ninja.params import functions as param
from ninja.responses import Status

from console.api import shapes
from console.api.conditions import asked_of, expected, key_of, located, once, tagged
from console.api.reach import item_of
from console.api.reading import bounded
from console.api.routers.signals import sent
from console.api.routes import IF_MATCH, KEY_OF_A_FORK, KEY_OF_A_SIGNAL, new_router, route
from console.api.schemas.items import Item
from console.api.schemas.verbs import (
    AnswerIn,
    Explained,
    FollowUpIn,
    ForkIn,
    PauseIn,
    PriorityIn,
    Reasoned,
    RedriveIn,
    ReleaseIn,
    ResetIn,
    ResumeIn,
    SignalIn,
    SignalSent,
    VoteIn,
)
from console.callers import caller_of
from runtime.models import WorkItem
from runtime.operations.acknowledge import Acknowledge
from runtime.operations.approve import Approve
from runtime.operations.base import OnItem
from runtime.operations.cancel import Cancel
from runtime.operations.follow_up import FollowUp
from runtime.operations.fork import Fork
from runtime.operations.hold import Hold, Unhold
from runtime.operations.pause import Pause
from runtime.operations.prioritise import Prioritise
from runtime.operations.redrive import Redrive
from runtime.operations.reject import Reject
from runtime.operations.release import Release
from runtime.operations.requeue import Requeue
from runtime.operations.reset_call import ResetCall
from runtime.operations.respond import Respond
from runtime.operations.resume import Resume
from runtime.operations.signal import SendSignal

router = new_router("verbs")

V = TypeVar("V", bound=Callable[..., Any])
OF = "/work-items/{uuid:item_id}"


def verb(path: str, name: str, operation: type[OnItem]) -> Callable[[V], V]:
    """Make a view the route of a verb."""
    return route(
        router,
        "POST",
        f"{OF}/{path}",
        name,
        gives={200: Item},
        permission=operation.permission,
        refuses=(404, 409, 412),
        headers=(IF_MATCH,),
    )


def done(
    request: HttpRequest,
    response: HttpResponse,
    operation: type[Any],
    item_id: uuid.UUID,
    body: Reasoned,
    **said: Any,
) -> Item:
    """Do it once to an item that the caller reaches, if it is as they saw it; return it as it is then."""
    caller, seen = caller_of(request), expected(request)
    with bounded():
        item_of(request, item_id)

    def work() -> tuple[WorkItem, None]:
        return operation(item_id, by=caller.by, reason=body.reason, row_version=seen, **said).execute(), None

    moved = once(asked_of(request), work, lambda _about: item_of(request, item_id))
    tagged(response, moved)
    return shapes.item(moved, caller)


@verb("cancel", "cancelWorkItem", Cancel)
def cancel(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: Reasoned = param.Body(Reasoned())
) -> Item:
    """End an item that has not ended, and its children; a running step is thrown away."""
    return done(request, response, Cancel, item_id, body)


@verb("requeue", "requeueWorkItem", Requeue)
def requeue(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: Reasoned = param.Body(Reasoned())
) -> Item:
    """Make an item due at once, from its last state."""
    return done(request, response, Requeue, item_id, body)


@verb("redrive", "redriveWorkItem", Redrive)
def redrive(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: RedriveIn = param.Body(RedriveIn())
) -> Item:
    """Bring a dead letter back; steps that committed are not repeated."""
    said = {"from_version": body.from_version, "max_steps": body.max_steps}
    return done(request, response, Redrive, item_id, body, **said)


@verb("pause", "pauseWorkItem", Pause)
def pause(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: PauseIn = param.Body(PauseIn())
) -> Item:
    """Keep an item from going on, from its step's end or at once."""
    return done(request, response, Pause, item_id, body, now=body.now)


@verb("resume", "resumeWorkItem", Resume)
def resume(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: ResumeIn = param.Body(ResumeIn())
) -> Item:
    """Let a paused item go on where it was."""
    return done(request, response, Resume, item_id, body, steps=body.steps)


@verb("follow-up", "followUpWorkItem", FollowUp)
def follow_up(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: FollowUpIn = param.Body(FollowUpIn())
) -> Item:
    """Reopen an item that has ended, with new input and the state it had."""
    return done(request, response, FollowUp, item_id, body, input=body.input, max_steps=body.max_steps)


@verb("prioritise", "prioritiseWorkItem", Prioritise)
def prioritise(request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: PriorityIn) -> Item:
    """Give a live item another priority; a running step goes on."""
    return done(request, response, Prioritise, item_id, body, priority=body.priority)


@verb("release", "releaseWorkItem", Release)
def release(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: ReleaseIn = param.Body(ReleaseIn())
) -> Item:
    """Take an item from its worker, or a resource from an item that is not running."""
    return done(request, response, Release, item_id, body, resource=body.resource)


@verb("journal/reset", "resetCall", ResetCall)
def reset_call(request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: ResetIn) -> Item:
    """Have a recorded call forgotten that failed or is in doubt; the step that runs next makes it again."""
    return done(request, response, ResetCall, item_id, body, key=body.key)


@verb("acknowledge", "acknowledgeWorkItem", Acknowledge)
def acknowledge(request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: Explained) -> Item:
    """Note that a dead letter was seen, and why it stays; nothing runs again."""
    return done(request, response, Acknowledge, item_id, body)


@verb("hold", "holdWorkItem", Hold)
def hold(request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: Explained) -> Item:
    """Keep an item and its history from being removed."""
    return done(request, response, Hold, item_id, body)


@verb("unhold", "unholdWorkItem", Unhold)
def unhold(request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: Explained) -> Item:
    """Lift an item's legal hold."""
    return done(request, response, Unhold, item_id, body)


@verb("approve", "approveWorkItem", Approve)
def approve(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: VoteIn = param.Body(VoteIn())
) -> Item:
    """Say yes to what an item wants approved."""
    return done(request, response, Approve, item_id, body, key=body.key)


@verb("reject", "rejectWorkItem", Reject)
def reject(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: VoteIn = param.Body(VoteIn())
) -> Item:
    """Say no to what an item wants approved."""
    return done(request, response, Reject, item_id, body, key=body.key)


@verb("respond", "respondToWorkItem", Respond)
def respond(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: AnswerIn = param.Body(AnswerIn())
) -> Item:
    """Give an item the input that it waits for."""
    return done(request, response, Respond, item_id, body, key=body.key, value=body.value)


@route(
    router,
    "POST",
    f"{OF}/fork",
    "forkWorkItem",
    gives={201: Item, 200: Item},
    permission=Fork.permission,
    refuses=(404, 409, 412),
    headers=(IF_MATCH,),
    key=KEY_OF_A_FORK,
)
def fork(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, body: ForkIn = param.Body(ForkIn())
) -> Status[Item]:
    """Begin a new item from a state of this one, which stays as it is: 201, or 200 for a fork made before."""
    said = {name: value for name, value in body.given.items() if name not in ("reason", "idempotency_key")}
    key = body.idempotency_key if body.idempotency_key is not None else key_of(request)
    caller, seen = caller_of(request), expected(request)
    with bounded():
        item_of(request, item_id)
    # The fork's own key, which lives as long as the fork, sees to it that there is one.
    forking = Fork(item_id, by=caller.by, reason=body.reason, row_version=seen, idempotency_key=key, **said)
    made = forking.execute()
    tagged(response, made)
    located(request, response, made.pk)
    return Status(201 if forking.made else 200, shapes.item(made, caller))


@route(
    router,
    "POST",
    f"{OF}/signals",
    "signalWorkItem",
    gives={201: SignalSent, 200: SignalSent},
    permission=SendSignal.permission,
    refuses=(404, 409),
    key=KEY_OF_A_SIGNAL,
)
def signal_item(request: HttpRequest, item_id: uuid.UUID, body: SignalIn) -> Status[dict[str, Any]]:
    """Send a signal to an item; it is kept until the item takes it: 201, or 200 for one sent before."""
    with bounded():
        item_of(request, item_id)
    return sent(request, body, item=item_id)
