"""Let other services enqueue work by signed requests: POST roost/hooks/<namespace>/<name>.

Errors are problem+json. Whoever does not know a webhook's secret is told the same whether there is one or not.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from console.bodies import reads
from console.connections import alone
from runtime.conf import settings as roost
from runtime.exceptions import DeliveryRefused
from runtime.operations.receiving import Receipt, receive

STATUS = {
    "unauthorised": 401,
    "disabled": 403,
    "too_large": 413,
    "bad_body": 400,
    "no_delivery_id": 400,
    "invalid": 422,
    "unavailable": 503,
}
TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Disabled",
    405: "Method not allowed",
    413: "Too large",
    422: "Not accepted",
    503: "Not available now",
}
UNAUTHORISED = "The request has no valid signature for a webhook here."
RETRY_AFTER = "5"


def _most() -> int:
    return int(roost.MAX_WEBHOOK_BYTES)


@method_decorator(
    [csrf_exempt, login_not_required, alone, reads(_most, of_anybody=lambda: _most() + 1)], name="dispatch"
)
class WebhookView(View):
    """Take deliveries: 202 with the item's id, 200 for a delivery that came before or that the condition ignores.

    Outside ATOMIC_REQUESTS: else a stranger would hold a transaction for as long as the body takes to come.
    """

    http_method_names = ["post"]

    @sensitive_variables()
    def post(self, request: HttpRequest, namespace: str, name: str) -> HttpResponse:
        """Answer one delivery."""
        try:
            body = _read(request)
            receipt = receive(name, _headers(request), body, namespace=namespace)
        except DeliveryRefused as error:
            return _refused(error)
        return _answer(receipt)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refuse whatever is no POST."""
        return _problem(405, "Send a POST.", {"Allow": "POST"})


def _read(request: HttpRequest) -> bytes:
    """Read no more of the body than may come, before anything is known of its sender. Raises `DeliveryRefused`."""
    most = _most()
    told = f"At most {most} bytes are taken."
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise DeliveryRefused("bad_body", "Content-Length is no number.") from None
    if length > most:
        raise DeliveryRefused("too_large", told)
    try:
        body = bytes(request.read(most + 1))
    except RequestDataTooBig:
        raise DeliveryRefused("too_large", told) from None
    except UnreadablePostError:
        raise DeliveryRefused("bad_body", "The body did not arrive.") from None
    if len(body) > most:
        raise DeliveryRefused("too_large", told)
    return body


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _answer(receipt: Receipt) -> HttpResponse:
    if receipt.outcome == "challenge":
        return JsonResponse({"challenge": receipt.challenge})
    item = None if receipt.item is None else str(receipt.item)
    return JsonResponse({"status": receipt.outcome, "item": item}, status=202 if receipt.outcome == "accepted" else 200)


def _refused(error: DeliveryRefused) -> HttpResponse:
    status = STATUS[error.code]
    if status == 401:
        return _problem(status, UNAUTHORISED, {"WWW-Authenticate": "Signature"})
    return _problem(status, str(error), {"Retry-After": RETRY_AFTER} if status == 503 else {})


def _problem(status: int, detail: str, headers: dict[str, str]) -> HttpResponse:
    told = {"type": "about:blank", "title": TITLES[status], "status": status, "detail": detail}
    return JsonResponse(told, status=status, headers=headers, content_type="application/problem+json")
