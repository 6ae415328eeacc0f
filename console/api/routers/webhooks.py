"""Read what calls in and out, turn it on and off, and give it another secret."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.params import functions as param
from ninja.responses import Status

from console.api.callers import caller_of
from console.api.conditions import asked_of, once
from console.api.reach import require_named
from console.api.routes import new_router, route
from console.api.schemas.rows import RotateIn, SecretOut, Targets, WebhookOut, Webhooks
from runtime.exceptions import NotFound
from runtime.operations.once import done_already
from runtime.operations.webhooks import remove_webhook, rotate_secret, turn_webhook
from runtime.queries import targets, webhooks

router = new_router("configuration")

A_WEBHOOK = "/webhooks/{namespace}/{name}"


@route(router, "GET", "/webhooks", "listWebhooks", gives={200: Webhooks}, permission="view_webhook")
def list_webhooks(request: HttpRequest, namespace: str = param.Query("", max_length=100)) -> dict[str, Any]:
    """List webhooks and what they got."""
    within = caller_of(request).within(namespace)
    views = [view for view in webhooks.views() if within is None or view.values["namespace"] in within]
    return {"webhooks": [_webhook(view) for view in views]}


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
def list_targets(request: HttpRequest) -> dict[str, Any]:
    """List who is called when items end or wait."""
    told = [{**view.values, "server": view.server, "trouble": view.trouble} for view in targets.views()]
    return {"targets": told}
