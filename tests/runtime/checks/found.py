"""What a check has found."""

from __future__ import annotations

from django.core.checks import CheckMessage


def only(found: list[CheckMessage], code: str, *words: str) -> CheckMessage:
    """Return the one message found, having made sure that it is the right one and says what to do."""
    assert [message.id for message in found] == [code], found
    [message] = found
    assert message.hint
    for word in words:
        assert word in f"{message.msg} {message.hint}"
    return message
