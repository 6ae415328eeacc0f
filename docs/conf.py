"""Configure Sphinx: Furo for the looks, MyST for the pages."""

from __future__ import annotations

import tomllib
from pathlib import Path

METADATA = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

project = "Roost"
author = project_copyright = "Roost maintainers"
version = release = METADATA["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Roost {release}"
