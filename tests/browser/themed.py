"""The same in a foreign theme, which needs scripts of its own and so a policy of its own."""

from __future__ import annotations

from tests.browser.settings import *  # noqa: F403 - settings are names
from tests.browser.settings import INSTALLED_APPS, MIDDLEWARE, POLICIES

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
MIDDLEWARE = [name for name in MIDDLEWARE if name not in POLICIES]
