"""Who may call: tokens that are good, and sessions with their CSRF token."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from runtime.models import Event
from runtime.operations.tokens import revoke_token
from tests.console.api.conftest import ROOT, Api, Caller, problem

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
ITEM = {"engine": "counter", "payload": {"count_to": 1}}


@pytest.mark.parametrize("token", ["", "nonsense", "roost_00000000_" + "x" * 43])
def test_nobody_is_asked_who_they_are(token: str, db: None) -> None:
    answer = Api(token).get("/work-items")
    problem(answer, 401, "unauthenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_nobodys(api: Api) -> None:
    assert api.get("/work-items").status_code == 200
    revoke_token("caller-0")
    problem(api.get("/work-items"), 401)


def test_what_a_token_does_has_its_name(caller: Caller) -> None:
    assert caller("enqueue").post("/work-items", ITEM).status_code == 201
    assert Event.objects.get().actor == "token:caller-0"


def test_a_token_without_the_scope_is_told_which_permission_is_missing(caller: Caller) -> None:
    told = problem(caller("read").post("/work-items", ITEM), 403, "forbidden")
    assert "roost.enqueue_workitem" in told["detail"]
    problem(caller("enqueue").get("/work-items"), 403)


def test_a_session_reads_and_changes_with_its_csrf_token_alone(staff: Any) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(staff("view_workitem", "enqueue_workitem"))
    assert browser.get(f"{ROOT}/work-items").status_code == 200
    problem(browser.post(f"{ROOT}/work-items", ITEM, content_type="application/json"), 403, "csrf")
    browser.get("/admin/")
    token = browser.cookies["csrftoken"].value
    sent = browser.post(f"{ROOT}/work-items", ITEM, content_type="application/json", headers={"X-CSRFToken": token})
    assert sent.status_code == 201, sent.content
    assert Event.objects.get().actor == "ann"


def test_a_session_has_the_permissions_of_its_user(staff: Any) -> None:
    browser = Client(raise_request_exception=False)
    user: User = staff("view_workitem")
    browser.force_login(user)
    problem(browser.post(f"{ROOT}/work-items", ITEM, content_type="application/json"), 403, "forbidden")
    User.objects.filter(pk=user.pk).update(is_active=False)
    problem(browser.get(f"{ROOT}/work-items"), 401)


def test_a_token_that_is_not_good_is_not_mended_by_a_session(staff: Any) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(staff("view_workitem"))
    problem(browser.get(f"{ROOT}/work-items", headers={"Authorization": "Bearer nonsense"}), 401)


def test_each_caller_has_so_many_requests_in_a_minute(caller: Caller, settings: Any) -> None:
    settings.ROOST_API_REQUESTS_PER_MINUTE = 2
    one, other = caller(), caller()
    assert [one.get("/work-items").status_code for _ in range(2)] == [200, 200]
    answer = one.get("/work-items")
    problem(answer, 429, "throttled")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert other.get("/work-items").status_code == 200
    settings.ROOST_API_REQUESTS_PER_MINUTE = None
    assert one.get("/work-items").status_code == 200


def test_a_cache_that_fails_lets_everybody_through(api: Api, settings: Any) -> None:
    settings.ROOST_API_CACHE = "missing"
    assert api.get("/work-items").status_code == 200


def test_it_answers_under_a_middleware_that_wants_everybody_signed_in(api: Api, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert api.get("/work-items").status_code == 200
    problem(Api().get("/work-items"), 401)
    problem(Api().get("/nowhere"), 404)
    assert Api().get("/health/live").status_code == 200
