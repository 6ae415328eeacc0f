"""Write the API's description to tests/console/api/openapi.json, which a test compares it with.

    python -m tests.console.api.openapi

Look at the difference: names that programs use must not change.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")


def text() -> str:
    """Return the description as it is kept."""
    from console.api.api import api

    return json.dumps(json.loads(json.dumps(api.get_openapi_schema())), indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    FILE.write_text(text())


if __name__ == "__main__":
    main()
