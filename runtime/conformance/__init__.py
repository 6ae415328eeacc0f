"""Find out whether an engine or a store keeps what Roost relies on. For test databases.

    report = check_engine(MyEngine(), [{"count_to": 3}])       or: manage.py roost conformance engine NAME --payload …
    report = check_store(MyStore("default"))
    print(report); report.to_dict(); assert report.ok

An engine is asked: does it begin the same each time, does the same snapshot lead to the same outcome, is all it returns
JSON, does it make no recorded call twice, and does it let a cancellation through (`runtime.conformance.engines`)?

A store is asked by levels: basic, concurrency, fencing, crash, retention, plan shape (`runtime.conformance.stores`).
Roost's own contract tests play the same checks. A broken promise is told with what was seen; one that cannot be looked
at on this database is untold, and breaks nothing.
"""

from __future__ import annotations

from runtime.conformance.engines import check_engine
from runtime.conformance.report import Finding, Report
from runtime.conformance.stores import check_store

__all__ = ["Finding", "Report", "check_engine", "check_store"]
