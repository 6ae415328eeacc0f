"""The demo product as the browser's tests serve it: every language, a strict policy, and an engine that gets stuck."""

from __future__ import annotations

from roost_project.settings import *  # noqa: F403 - settings are names
from roost_project.settings import MIDDLEWARE, ROOST_ENGINES

POLICIES = ("tests.browser.policy.strict_policy", "roost_project.policy.ContentPolicyMiddleware")
"""The tests' own, in the place of the demo product's."""
MIDDLEWARE = [POLICIES[0], *(name for name in MIDDLEWARE if name != POLICIES[1])]
MIDDLEWARE.insert(
    MIDDLEWARE.index("django.middleware.common.CommonMiddleware"), "django.middleware.locale.LocaleMiddleware"
)
ROOST_ENGINES = {**ROOST_ENGINES, "gate": "tests.browser.gate.Gate"}
SECRET_KEY = "only for tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
