"""Make a system check of a generator of messages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from django.core.checks import CheckMessage

from runtime.conf import BadSetting

Found = Iterator[CheckMessage]
Check = Callable[..., list[CheckMessage]]


def check(look: Callable[..., Found]) -> Check:
    """Make a check of a generator of messages. A setting that cannot be read is left to `setting_of_wrong_type`."""

    @functools.wraps(look)
    def run(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
        try:
            return list(look(**options))
        except BadSetting:
            return []

    return run
