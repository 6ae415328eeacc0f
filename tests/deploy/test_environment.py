"""The example of an environment names what is read, and reads well."""

from __future__ import annotations

import re

from tests.deploy.files import DEPLOY, environment_names, example


def test_every_variable_is_one_that_is_read() -> None:
    assert example().keys() <= environment_names()
    assert {"ROOST_SECRET_KEY", "ROOST_ALLOWED_HOSTS", "ROOST_DATABASE_URL", "ROOST_TRUST_PROXY"} <= example().keys()


def test_it_holds_no_secret_that_somebody_could_leave_as_it_is() -> None:
    assert example()["ROOST_SECRET_KEY"] == ""
    assert example()["ROOST_METRICS_TOKEN"] == ""


def test_systemd_and_compose_read_it_alike() -> None:
    lines = (DEPLOY / "roost.env.example").read_text().splitlines()
    assert [line for line in lines if line and not re.fullmatch(r"#.*|ROOST_[A-Z0-9_]+=[^\s'\"$\\]*", line)] == []
