"""The page on deployment names what there is."""

from __future__ import annotations

import re

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from runtime.queries.doctor_postgres import SETTLE_SQL
from tests.contracts.test_docs import commands
from tests.deploy.files import POOL, ROOT, WEB_CONNECTIONS, WORKER_CONNECTIONS, compose, environment_names, unit

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(deploy/[\w./-]+|constraints[\w-]*\.txt)`", PAGE))))
def test_every_file_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_command_that_it_names_is_there() -> None:
    assert set(re.findall(r"manage\.py (\w+)", PAGE)) <= get_commands().keys()
    ours = {
        name.split()[0] for name in commands(load_command_class("runtime", "roost").create_parser("manage.py", "roost"))
    }
    named = set(re.findall(r"(?:manage\.py |`)roost ([a-z]+)\b", PAGE))
    assert {"preflight", "doctor", "verify", "prune"} <= named <= ours


def test_every_variable_that_it_names_is_read() -> None:
    assert set(re.findall(r"\bROOST_[A-Z_]+", PAGE)) <= environment_names()


def test_after_a_restore_it_says_what_the_doctor_says() -> None:
    [sql] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert tuple(sql.strip().splitlines()) == SETTLE_SQL


def test_no_command_of_a_release_or_a_backup_starts_what_it_waits_for() -> None:
    told = PAGE.partition("\n## With systemd\n")[2]
    run = re.findall(r"docker compose (?:run|up)[^\n`]*", told)
    assert len(run) > 5
    assert [command for command in run if "--no-deps" not in command and not command.endswith(" postgres")] == []


def test_services_of_compose_that_it_names_are_there() -> None:
    named = re.findall(r"docker compose (?:exec -T|run(?: -\S+)+|up(?: -\S+)+) ([a-z]+)", PAGE)
    assert {"web", "worker", "postgres"} <= set(named) <= compose()["services"].keys()


def test_the_page_on_monitoring_says_which_networks_the_proxy_lets_read_the_metrics() -> None:
    proxy = (ROOT / "deploy" / "nginx" / "roost.conf").read_text()
    networks = re.findall(r"^\s*allow (\S+);", proxy, re.MULTILINE)
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    assert networks
    assert [network for network in networks if network not in page] == []


@pytest.mark.parametrize("page", ["how-to/api.md", "how-to/deploy.md", "reference/settings.md"])
def test_every_page_that_gives_the_webs_pool_a_size_gives_it_the_same(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    sizes = re.findall(r"(?:pool=|POOL=|\"max_size\": |for the web )(\d+)", text)
    assert sizes
    assert set(sizes) == {POOL}


def test_it_tells_how_long_a_worker_has_to_stop_wherever_it_runs() -> None:
    [told] = re.findall(r"`terminationGracePeriodSeconds` allow \((\d+) s; and `minReadySeconds` as long\)", PAGE)
    [pods, _budget] = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "worker.yaml").read_text())
    assert {
        *unit("roost-worker.service")["TimeoutStopSec"],
        str(compose()["services"]["worker"]["stop_grace_period"]).removesuffix("s"),
        str(pods["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]),
        str(pods["spec"]["minReadySeconds"]),
    } == {told}


def test_it_counts_the_connections_of_two_processes_of_each_kind() -> None:
    assert f"that runs at once: {WORKER_CONNECTIONS};" in PAGE
    assert f"for the web {POOL} a process, in a pool" in PAGE
    assert f"two processes of each kind {2 * (WORKER_CONNECTIONS + WEB_CONNECTIONS)} are taken" in PAGE
