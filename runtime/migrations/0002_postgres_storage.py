"""Tune the hot tables' storage on PostgreSQL; do nothing elsewhere.

A step rewrites its item's row in place of the old one (HOT) when the page has room, which is what fillfactor keeps.
Vacuum follows the number of dead rows, not the size of a table that holds years of finished items.
"""

from django.db import migrations

STORAGE = {
    "roost_workitem": (
        "fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000, "
        "autovacuum_analyze_scale_factor = 0.02"
    ),
    "roost_lease": "autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000",
}
PARAMETERS = (
    "fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor"
)


def tune(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, parameters in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {table} SET ({parameters})")


def untune(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in STORAGE:
            schema_editor.execute(f"ALTER TABLE {table} RESET ({PARAMETERS})")


class Migration(migrations.Migration):
    dependencies = [("roost", "0001_initial")]

    operations = [migrations.RunPython(tune, untune, elidable=False)]
