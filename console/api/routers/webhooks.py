"""Set, read and remove what calls in and out, turn it on and off, and give it another secret."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from ninja import Query
from ninja.params import functions as param
from ninja.responses import Status
from pydantic import SecretStr

from console.api.conditions import asked_of, once
from console.api.pagination import Pages, rest_of
from console.api.reach import require_named
from console.api.routes import new_router, route
from console.api.schemas.kinds import Asked
from console.api.schemas.webhooks import (
    RotateIn,
    SecretOut,
    TargetIn,
    Targets,
    TargetSet,
    WebhookIn,
    WebhookOut,
    Webhooks,
    WebhookSet,
)
from console.callers import caller_of
from runtime.exceptions import InvalidInput, NotFound
from runtime.operations.once import done_already
from runtime.operations.targets import remove_target, set_target
from runtime.operations.webhooks import remove_webhook, rotate_secret, set_webhook, turn_webhook
from runtime.queries import targets, webhooks
from runtime.signatures import ENV

router = new_router("configuration")

A_WEBHOOK = "/webhooks/{namespace}/{name}"
A_TARGET = "/webhook-targets/{name}"


@route(router, "GET", "/webhooks", "listWebhooks", gives={200: Webhooks}, permission="view_webhook")
def list_webhooks(
    request: HttpRequest, paging: Query[Pages], namespace: str = param.Query("", max_length=100)
) -> dict[str, Any]:
    """List webhooks and what they got."""
    within = caller_of(request).within(namespace)
    views = [view for view in webhooks.views() if within is None or view.values["namespace"] in within]
    rows, following = rest_of(views, lambda view: (view.values["namespace"], view.values["name"], view.source), paging)
    return {"webhooks": [_webhook(view) for view in rows], "next": following}


def _webhook(view: webhooks.WebhookView) -> dict[str, Any]:
    return {**view.values, "path": view.path, "source": view.source, "trouble": view.trouble}


def _one_webhook(namespace: str, name: str) -> dict[str, Any]:
    for view in webhooks.views():
        if (view.values["namespace"], view.values["name"]) == (namespace, name):
            return _webhook(view)
    raise NotFound(f"There is no webhook {name!r} in the namespace {namespace!r}.")


@route(router, "GET", A_WEBHOOK, "getWebhook", gives={200: WebhookOut}, permission="view_webhook", refuses=(404,))
def get_webhook(request: HttpRequest, namespace: str, name: str) -> dict[str, Any]:
    """Read a webhook."""
    require_named(request, namespace, "webhook", name)
    return _one_webhook(namespace, name)


@route(router, "PUT", A_WEBHOOK, "setWebhook", gives={200: WebhookSet}, permission="change_webhook")
@sensitive_variables()
def put_webhook(request: HttpRequest, namespace: str, name: str, body: WebhookIn) -> dict[str, Any]:
    """Make a webhook, or change one; it holds at once. A secret that is made is shown this once."""
    caller = caller_of(request)
    space = caller.namespace(namespace)
    issued = set_webhook(name, namespace=space, by=caller.by, **_said(body))
    return {**_one_webhook(space, name), "secret": issued.secret}


@sensitive_variables()
def _said(body: Asked) -> dict[str, Any]:
    """Return what was said, secrets as they are. Raises `InvalidInput` for one that a variable of this process holds.

    Whoever holds a token does not choose what of the environment signs a text of theirs: it could be found out so.
    """
    said = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in body.given.items()
    }
    if str(said.get("secret", "")).startswith(ENV):
        told = "A secret in the environment is named by `roost` on the command line. Give it here, or have it made."
        raise InvalidInput(told, field="secret")
    return said


@route(
    router,
    "POST",
    f"{A_WEBHOOK}/enable",
    "enableWebhook",
    gives={200: WebhookOut},
    permission="change_webhook",
    refuses=(404, 409),
)
def enable_webhook(request: HttpRequest, namespace: str, name: str) -> dict[str, Any]:
    """Take deliveries again."""
    return _turn(request, namespace, name, enabled=True)


@route(
    router,
    "POST",
    f"{A_WEBHOOK}/disable",
    "disableWebhook",
    gives={200: WebhookOut},
    permission="change_webhook",
    refuses=(404, 409),
)
def disable_webhook(request: HttpRequest, namespace: str, name: str) -> dict[str, Any]:
    """Take no more deliveries."""
    return _turn(request, namespace, name, enabled=False)


def _turn(request: HttpRequest, namespace: str, name: str, *, enabled: bool) -> dict[str, Any]:
    require_named(request, namespace, "webhook", name)

    def work() -> tuple[dict[str, Any], None]:
        turn_webhook(name, enabled=enabled, namespace=namespace, by=caller_of(request).by)
        return _one_webhook(namespace, name), None

    return once(asked_of(request), work, lambda _about: _one_webhook(namespace, name))


@route(
    router,
    "POST",
    f"{A_WEBHOOK}/rotate",
    "rotateWebhook",
    gives={200: SecretOut},
    permission="change_webhook",
    refuses=(404, 409),
)
def rotate_webhook(
    request: HttpRequest, namespace: str, name: str, body: RotateIn = param.Body(RotateIn())
) -> dict[str, Any]:
    """Give a webhook a new secret, shown this once; the old one stays good for a while."""
    require_named(request, namespace, "webhook", name)

    def work() -> tuple[str, None]:
        return rotate_secret(name, namespace=namespace, keep=body.keep, by=caller_of(request).by).secret, None

    def again(_about: object) -> str:
        raise done_already("the new secret was shown that once")

    return {"name": name, "secret": once(asked_of(request), work, again)}


@route(router, "DELETE", A_WEBHOOK, "removeWebhook", gives={204: None}, permission="delete_webhook", refuses=(404,))
def delete_webhook(request: HttpRequest, namespace: str, name: str) -> Status[None]:
    """Remove a webhook; what it has enqueued stays."""
    require_named(request, namespace, "webhook", name)
    remove_webhook(name, namespace=namespace, by=caller_of(request).by)
    return Status(204, None)


@route(
    router,
    "GET",
    "/webhook-targets",
    "listTargets",
    gives={200: Targets},
    permission="view_webhooktarget",
    everywhere=True,
)
def list_targets(request: HttpRequest, paging: Query[Pages]) -> dict[str, Any]:
    """List who is called when items end or wait."""
    rows, following = rest_of(targets.views(), lambda view: (str(view.values["name"]), view.source, ""), paging)
    return {"targets": [_target(view) for view in rows], "next": following}


def _target(view: targets.TargetView) -> dict[str, Any]:
    return {**view.values, "server": view.server, "trouble": view.trouble}


@route(
    router,
    "PUT",
    A_TARGET,
    "setTarget",
    gives={200: TargetSet},
    permission="change_webhooktarget",
    everywhere=True,
)
@sensitive_variables()
def put_target(request: HttpRequest, name: str, body: TargetIn) -> dict[str, Any]:
    """Make a webhook target, or change one; it holds within a second. A secret that is made is shown this once."""
    issued = set_target(name, by=caller_of(request).by, **_said(body))
    [view] = [view for view in targets.views() if view.values["name"] == name]
    return {**_target(view), "secret": issued.secret}


@route(
    router,
    "DELETE",
    A_TARGET,
    "removeTarget",
    gives={204: None},
    permission="delete_webhooktarget",
    everywhere=True,
    refuses=(404,),
)
def delete_target(request: HttpRequest, name: str) -> Status[None]:
    """Remove a webhook target; deliveries that are under way fail, and tell why."""
    remove_target(name, by=caller_of(request).by)
    return Status(204, None)
