"""Settings have defaults, are read live, and say when their type is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.conf import BadSetting, Settings, names
from runtime.conf import settings as roost


def test_a_setting_that_is_not_set_has_its_default(settings: Any) -> None:
    assert (roost.LEASE_SECONDS, roost.MAX_ATTEMPTS, roost.DATABASE) == (15.0, 5, None)


def test_settings_are_read_live(settings: Any) -> None:
    settings.ROOST_MAX_ATTEMPTS = 9
    assert roost.MAX_ATTEMPTS == 9
    settings.ROOST_MAX_ATTEMPTS = 3
    assert roost.MAX_ATTEMPTS == 3
    del settings.ROOST_MAX_ATTEMPTS
    assert roost.MAX_ATTEMPTS == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ATTEMPTS", "5"),
        ("MAX_ATTEMPTS", 2.5),
        ("MAX_ATTEMPTS", True),
        ("MAX_ATTEMPTS", None),
        ("LEASE_SECONDS", "15"),
        ("LEASE_SECONDS", False),
        ("ARTIFACT_STORAGE", 7),
        ("ARTIFACT_STORAGE", None),
        ("ENGINES", ["counter"]),
        ("ENGINES", None),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_that_names_setting_value_and_type(
    settings: Any, name: str, value: Any
) -> None:
    setattr(settings, f"ROOST_{name}", value)
    with pytest.raises(BadSetting) as caught:
        getattr(roost, name)
    message = str(caught.value)
    assert message.startswith(f"ROOST_{name} = {value!r} is a {type(value).__name__}; it must be ")
    assert Settings.__annotations__[name] in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", 30),
        ("STEP_TIMEOUT", None),
        ("ITEM_TIMEOUT", 5),
        ("DATABASE", "other"),
        ("ENGINES", {"a": "b.C"}),
    ],
)
def test_a_value_that_fits_passes(settings: Any, name: str, value: Any) -> None:
    setattr(settings, f"ROOST_{name}", value)
    assert getattr(roost, name) == value


def test_a_name_that_is_no_setting_is_an_error() -> None:
    with pytest.raises(AttributeError):
        roost.LEASE_SECOND  # noqa: B018 - reading it is the test


def test_every_setting_has_a_full_name_and_a_default_of_its_own_type() -> None:
    assert names() == {f"ROOST_{name}" for name in Settings.__annotations__}
    for name in Settings.__annotations__:
        getattr(roost, name)
