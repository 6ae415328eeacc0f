#!/usr/bin/env python
"""Run Django's command line on the demo product."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Point Django at the demo product's settings and run the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "roost_project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
