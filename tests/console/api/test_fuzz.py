"""A running server answers every request, also those that make no sense, as its description says. See `make fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from tests.fuzz.run import BRIEF, run
from tests.fuzz.world import furnish, token
from tests.processes.fleet import database_url
from tests.serving import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.django_db(transaction=True),
    pytest.mark.scenario("S10"),
]
SEED = 8
LEAST = 200


def test_a_running_server_answers_as_its_description_says(tmp_path: Path) -> None:
    words, bearer, log = furnish(), token(), tmp_path / "server.log"
    environment = {
        "ROOST_PROCESS_DATABASE_URL": database_url(),
        "ROOST_PROCESS_ARTIFACTS": str(settings.STORAGES["roost_artifacts"]["OPTIONS"]["location"]),
        **{f"ROOST_PROCESS_SET_{name}": str(value) for name, value in BRIEF.items()},
    }
    with serving(log, **environment) as (url, _process):
        report = run(url, bearer, words, tmp_path, examples=1, seed=SEED, phases=("fuzzing", "stateful"))
    assert report.found == [], report.text
    assert report.whole
    assert report.cases >= LEAST
    assert " ERROR " not in log.read_text()
