"""Places for artifacts: an empty folder, and a bucket on a server of the suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import Storage

from runtime import artifacts, pytest_plugin
from tests.runtime.places import LOCAL

# As pytest itself does where Roost is installed.
pytest_configure, _roost_marked = pytest_plugin.pytest_configure, pytest_plugin._roost_marked
roost_clock, roost_drain, roost_inline = (
    pytest_plugin.roost_clock,
    pytest_plugin.roost_drain,
    pytest_plugin.roost_inline,
)


@pytest.fixture(scope="session")
def bucket() -> Iterator[dict[str, Any]]:
    """Serve S3 on loopback and return the settings of a storage on it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {
        "endpoint_url": f"http://{host}:{port}",
        "region_name": "us-east-1",
    }
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    boto3.client("s3", **access, **keys).create_bucket(Bucket="artifacts")
    yield {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": "artifacts",
            "access_key": "testing",
            "secret_key": "testing",
            "location": "roost",
            **access,
        },
    }
    server.stop()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Storage:
    """Let artifacts live on the file system, and on S3."""
    if request.param == "local":
        chosen = {**LOCAL, "OPTIONS": {"location": str(tmp_path), "base_url": None}}
    else:
        chosen = request.getfixturevalue("bucket")
        chosen["OPTIONS"]["location"] = tmp_path.name
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": chosen}
    return artifacts.storage()


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    """Let artifacts live in an empty folder."""
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {**LOCAL, "OPTIONS": {"location": str(tmp_path)}}}
    return tmp_path


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Say which of Django's cases the test runs as."""
    return str(request.param)
