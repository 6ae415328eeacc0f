"""The example of an environment names what is read, and reads well."""

from __future__ import annotations

import re

import pytest

from tests.deploy.files import DEPLOY, assigned, environment_names, example, told, unit

PLACES = {"ROOST_ARTIFACTS_DIR", "ROOST_WORKSPACES_ROOT", "ROOST_STATIC_ROOT"}


def test_every_variable_is_one_that_is_read() -> None:
    assert example().keys() <= environment_names()
    assert {"ROOST_SECRET_KEY", "ROOST_ALLOWED_HOSTS", "ROOST_DATABASE_URL", "ROOST_TRUST_PROXY"} <= example().keys()


def test_it_holds_no_secret_that_somebody_could_leave_as_it_is() -> None:
    assert example()["ROOST_SECRET_KEY"] == ""
    assert example()["ROOST_METRICS_TOKEN"] == ""
    assert example()["ROOST_API_LINK_KEY"] == ""


@pytest.mark.parametrize("name", ["roost-web.service", "roost-worker.service"])
def test_commands_that_read_it_use_the_folders_of_the_units_and_of_the_image(name: str) -> None:
    read = {line for line in (DEPLOY / "roost.env.example").read_text().splitlines() if not line.startswith("#")}
    given = {place: assigned(unit(name)["Environment"])[place] for place in PLACES}
    assert {f"{place}={value}" for place, value in given.items()} <= read
    image = assigned(told("ENV"))
    assert {place: image[place] for place in PLACES} == given


def test_systemd_and_compose_read_it_alike() -> None:
    lines = (DEPLOY / "roost.env.example").read_text().splitlines()
    assert [line for line in lines if line and not re.fullmatch(r"#.*|ROOST_[A-Z0-9_]+=[^\s'\"$\\]*", line)] == []
