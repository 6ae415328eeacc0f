"""A product's own API with Roost's routes in it: Roost's answers are Roost's, and the product's stay the product's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from ninja import NinjaAPI
from ninja.errors import HttpError

from console.api.api import install
from console.api.routers import work_items
from runtime.operations.tokens import create_token
from tests.console.api.conftest import ALL, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
ITEM = {"engine": "counter", "payload": {"count_to": 1}}


class ShopError(Exception):
    """Something that only the product knows."""


ERRORS: dict[str, Exception] = {
    "http": HttpError(418, "no coffee"),
    "missing": Http404("no such order"),
    "shop": ShopError("sold out"),
    "database": DatabaseError("the shop's database"),
    "denied": PermissionDenied("not yours"),
}


def shop() -> NinjaAPI:
    """Return the product's API, with Roost in it and handlers from before and after it."""
    api = NinjaAPI(urls_namespace="shop")
    api.exception_handler(DatabaseError)(lambda request, error: HttpResponse("closed", status=502))
    install(api, "/durable")
    api.exception_handler(ShopError)(lambda request, error: HttpResponse(str(error), status=409))

    @api.get("/orders/{number}", url_name="getWorkItem")
    def order(request: HttpRequest, number: int) -> dict[str, Any]:
        return {"number": number, "atomic": connection.in_atomic_block}

    @api.get("/broken/{how}")
    def broken(request: HttpRequest, how: str) -> None:
        raise ERRORS[how]

    def refuse_the_banned(operation: Any) -> Any:
        def run(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if "X-Banned" in request.headers:
                raise ShopError("banned")
            return operation(request, *args, **kwargs)

        return run

    api.add_decorator(refuse_the_banned, mode="operation")
    return api


@pytest.fixture
def client(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Give a caller of the product's API, with a token of Roost's."""
    urls = ModuleType("tests_shop_urls")
    urls.urlpatterns = [path("shop/", shop().urls)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    settings.ROOT_URLCONF = urls.__name__
    token = create_token("shop", scopes=ALL, namespaces=["*"]).text
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})


def post(client: Client, body: Any, **headers: str) -> Any:
    """Enqueue."""
    return client.post("/shop/durable/work-items", body, content_type="application/json", headers=headers)


def test_the_products_routes_keep_their_own_errors(client: Client) -> None:
    invalid = client.get("/shop/orders/first")
    assert (invalid.status_code, list(invalid.json())) == (422, ["detail"])
    told = {how: client.get(f"/shop/broken/{how}") for how in ERRORS}
    assert (told["http"].status_code, told["http"].json()) == (418, {"detail": "no coffee"})
    assert (told["missing"].status_code, list(told["missing"].json())) == (404, ["detail"])
    assert (told["shop"].status_code, told["shop"].content) == (409, b"sold out")
    assert (told["database"].status_code, told["database"].content) == (502, b"closed")
    assert (told["denied"].status_code, told["denied"]["Content-Type"]) == (403, "text/html; charset=utf-8")


def test_roosts_routes_answer_there_as_they_do_everywhere(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = post(client, ITEM)
    assert (made.status_code, made["Location"]) == (201, f"/shop/durable/work-items/{made.json()['id']}")
    assert client.get(made["Location"]).json()["id"] == made.json()["id"]
    problem(post(client, {"payload": 1}), 422, "invalid")
    problem(client.get(f"/shop/durable/work-items/{made.json()['id']}", {"typo": 1}), 422, "invalid")
    problem(Client().get("/shop/durable/work-items"), 401, "unauthenticated")
    monkeypatch.setattr(work_items, "item_of", lambda *given: 1 / 0)
    problem(client.get(made["Location"]), 500, "internal")


def test_what_only_the_product_knows_is_told_by_it_on_roosts_routes_too(client: Client) -> None:
    banned = client.get("/shop/durable/work-items", headers={"X-Banned": "yes"})
    assert (banned.status_code, banned.content) == (409, b"banned")


def test_roosts_routes_stand_behind_their_guard_there(client: Client, settings: Any) -> None:
    problem(client.get("/shop/durable/schedules/a%00b/c"), 422, "invalid")
    problem(client.get("/shop/durable/work-items?namespace=%00"), 422, "invalid")
    problem(client.put("/shop/durable/work-items"), 405, "method_not_allowed")
    problem(post(client, ITEM, Content_Encoding="gzip"), 415, "unsupported_media_type")
    settings.ROOST_API_MAX_BODY_BYTES = 8
    problem(post(client, ITEM), 413, "too_large")
    assert client.get("/shop/durable/health/live")["Cache-Control"] == "no-store"


def test_a_file_is_uploaded_there_as_a_form(client: Client) -> None:
    of = f"/shop/durable/work-items/{WorkItemFactory().pk}/artifacts"
    problem(client.post(of, {"not": "a form"}, content_type="application/json"), 415)
    assert client.post(of, {"file": SimpleUploadedFile("a.txt", b"x")}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_under_atomic_requests_the_products_routes_are_atomic_and_roosts_are_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen: list[bool] = []
    real = work_items.item_of

    def look(*given: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return real(*given)

    monkeypatch.setattr(work_items, "item_of", look)
    item = WorkItemFactory()
    assert client.get("/shop/orders/1").json() == {"number": 1, "atomic": True}
    assert client.get(f"/shop/durable/work-items/{item.pk}").status_code == 200
    assert seen == [False]
    assert transaction.get_autocommit()
