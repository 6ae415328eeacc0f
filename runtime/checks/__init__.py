"""Check the product's settings for what would make Roost fail or surprise, and say what to type.

Every check has a row in docs/reference/checks.md and a test of its name. None needs a database, save the one that
is tagged so; those at deployment run with `manage.py check --deploy` only. Engines are imported there alone: an
engine may take seconds to import, and every command runs the others.
"""

from __future__ import annotations

from django.core.checks import Tags, register

from runtime.checks import configuration, databases, surroundings
from runtime.checks.check import Check

ALWAYS: tuple[Check, ...] = (
    configuration.setting_of_wrong_type,
    configuration.setting_out_of_range,
    configuration.lease_shorter_than_three_heartbeats,
    configuration.workspaces_root_not_absolute,
    configuration.git_missing,
    configuration.outgoing_rules_wrong,
    configuration.outgoing_allows_everything,
    configuration.unknown_setting,
    configuration.engine_not_found,
    configuration.snapshot_policy_unknown,
    configuration.offload_makes_no_sense,
    configuration.redact_not_found,
    configuration.scan_not_found,
    configuration.namespaces_of_not_found,
    configuration.link_key_too_short,
    configuration.trigger_makes_no_sense,
    configuration.webhook_makes_no_sense,
    configuration.webhook_target_makes_no_sense,
    databases.database_alias_missing,
    databases.tables_split_over_databases,
    databases.sqlite_without_wal,
    databases.pooled_database_without_a_direct_one,
    surroundings.package_shadowed,
    surroundings.package_of_the_same_name,
    surroundings.runworker_hidden,
    surroundings.storage_alias_missing,
    surroundings.artifacts_publicly_served,
    surroundings.tracing_without_opentelemetry,
)
WITH_DATABASE: tuple[Check, ...] = (databases.sqlite_shared_by_hosts, databases.webhook_target_not_told)
AT_DEPLOYMENT: tuple[Check, ...] = (
    configuration.engine_does_not_load,
    configuration.steps_longer_than_the_grace_period,
    surroundings.channel_layer_in_memory,
)


def register_all() -> None:
    """Register the checks with Django, under the tag `roost`."""
    for each in ALWAYS:
        register(each, "roost")
    for each in WITH_DATABASE:
        register(each, "roost", Tags.database)
    for each in AT_DEPLOYMENT:
        register(each, "roost", deploy=True)
