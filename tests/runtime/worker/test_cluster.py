from __future__ import annotations

import logging
import signal

import pytest
from django.test import override_settings
from django_q.conf import Conf
from django_q.conf import logger as django_q_logger

from runtime.worker import cluster
from runtime.worker.options import WorkerOptions

OPTIONS = WorkerOptions.defaults("default", processes=3)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Note what django-q2 would see, instead of starting anything."""
    seen: dict[str, object] = {}

    def look(self: cluster.RoostCluster) -> int:
        seen.update(
            workers=Conf.WORKERS,
            recycle=Conf.RECYCLE,
            save=Conf.SAVE_LIMIT,
            name=Conf.CLUSTER_NAME,
            level=django_q_logger.level,
            handler=signal.getsignal(signal.SIGTERM),
        )
        return 0

    monkeypatch.setattr(cluster.RoostCluster, "run", look)
    return seen


def test_the_products_own_cluster_settings_are_back_when_ours_has_run(seen: dict[str, object]) -> None:
    before = (Conf.WORKERS, Conf.RECYCLE, Conf.SAVE_LIMIT, Conf.CLUSTER_NAME, signal.getsignal(signal.SIGTERM))
    assert cluster.run(OPTIONS) == 0
    after = (Conf.WORKERS, Conf.RECYCLE, Conf.SAVE_LIMIT, Conf.CLUSTER_NAME, signal.getsignal(signal.SIGTERM))
    assert (seen["workers"], seen["recycle"], seen["save"]) == (3, 1, -1)
    assert seen["handler"] != before[-1]
    assert after == before


def test_a_step_that_enqueues_a_django_q_task_still_reaches_the_products_cluster(seen: dict[str, object]) -> None:
    cluster.run(OPTIONS)
    assert seen["name"] == Conf.CLUSTER_NAME


def test_django_q_tells_errors_only_unless_the_operator_chose_otherwise(seen: dict[str, object]) -> None:
    before = django_q_logger.level
    cluster.run(OPTIONS)
    assert seen["level"] == logging.ERROR
    assert django_q_logger.level == before
    chosen = {"version": 1, "disable_existing_loggers": False, "loggers": {"django-q": {"level": "INFO"}}}
    with override_settings(LOGGING=chosen):
        theirs = django_q_logger.level
        cluster.run(OPTIONS)
    django_q_logger.setLevel(before)
    assert seen["level"] == theirs
