"""The roles of the permission matrix, and what each may do: a page or a verb without a line here fails its test."""

from __future__ import annotations

from django.apps import apps

MODELS = {model._meta.model_name: model for model in apps.get_app_config("roost").get_models()}
VIEWS = frozenset(f"view_{name}" for name, model in MODELS.items() if "view" in model._meta.default_permissions)
ANSWERS = frozenset({"approve_wait", "respond_wait"})
VERBS = frozenset(
    {
        *("cancel_workitem", "requeue_workitem", "redrive_workitem", "follow_up_workitem", "pause_workitem"),
        *("resume_workitem", "fork_workitem", "release_workitem", "acknowledge_workitem", "prioritise_workitem"),
        *("hold_workitem", "send_signal", "enqueue_workitem", "reset_journal"),
    }
)

VIEWER, OPERATOR, APPROVER, ADMIN = "viewer", "operator", "approver", "admin"
ROLES: dict[str, frozenset[str] | None] = {
    VIEWER: VIEWS,
    OPERATOR: VIEWS | VERBS | {"view_payload"},
    APPROVER: frozenset({"view_workitem", "view_wait"}) | ANSWERS,
    ADMIN: None,
}
"""Each role's permissions; None are all of them."""

ALL = (VIEWER, OPERATOR, APPROVER, ADMIN)
LOOKERS = (VIEWER, OPERATOR, ADMIN)
NOBODY: tuple[str, ...] = ()
READ_ONLY = {"view": LOOKERS, "add": NOBODY, "change": NOBODY, "delete": NOBODY}
FOR_ADMINS = {**READ_ONLY, "view": (ADMIN,)}
FOR_ALL = {**READ_ONLY, "view": ALL}
EDITED = {**READ_ONLY, "change": (ADMIN,)}
REMOVED = {**EDITED, "delete": (ADMIN,)}
KEPT = {**REMOVED, "add": (ADMIN,)}

PAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "apitoken": {**EDITED, "add": (ADMIN,)},
    "artifact": READ_ONLY,
    "blob": READ_ONLY,
    "donerequest": FOR_ADMINS,
    "event": READ_ONLY,
    "eventhorizon": FOR_ADMINS,
    "journalentry": READ_ONLY,
    "lease": READ_ONLY,
    "limit": KEPT,
    "mailbox": READ_ONLY,
    "offloaded": READ_ONLY,
    "prunedhistory": READ_ONLY,
    "resource": EDITED,
    "resourceclaim": READ_ONLY,
    "schedule": KEPT,
    "signal": READ_ONLY,
    "snapshot": READ_ONLY,
    "trigger": KEPT,
    "wait": FOR_ALL,
    "webhook": REMOVED,
    "webhooktarget": REMOVED,
    "worker": EDITED,
    "workitem": FOR_ALL,
}
"""Who may do what on the pages of each table."""

MORE_PAGES: dict[str, tuple[str, ...]] = {
    "roost_mailbox_send": (OPERATOR, ADMIN),
    "roost_workitem_changes": ALL,
    "roost_workitem_csv": ALL,
    "roost_workitem_dead": ALL,
    "roost_workitem_enqueue": (OPERATOR, ADMIN),
    "roost_workitem_json": ALL,
    "roost_workitem_story": LOOKERS,
    "roost_workitem_state": LOOKERS,
}
"""Who may look at the pages that are no table's. The confirm pages are in `ASKED`."""

FILES: dict[str, tuple[str, ...]] = {
    "roost_artifact_download": (OPERATOR, ADMIN),
    "roost_artifact_picture": (OPERATOR, ADMIN),
}
"""Who may have the bytes of files."""

LINKS: dict[str, tuple[str, ...]] = {"roost_artifact_link": (OPERATOR, ADMIN)}
"""Who may give others a link to a file."""

LIVE: dict[str, tuple[str, ...]] = {"roost_workitem_stream": ALL}
"""Who may hear of changes over a stream."""

SOCKETS: dict[str, tuple[str, ...]] = {"roost/live/": ALL}
"""Who may hear of them over a socket."""

OUTSIDE: dict[str, tuple[str, ...] | None] = {"webhook": None, "live": None, "ready": None, "metrics": ALL}
"""Addresses outside the admin, and who may read them; None: no session is looked at. The API has its own matrix."""

ASKED: dict[tuple[str, str], tuple[str, ...]] = {
    **{
        ("workitem", verb): (OPERATOR, ADMIN)
        for verb in (
            *("redrive", "requeue", "follow_up", "fork", "pause", "resume", "acknowledge", "signal", "prioritise"),
            *("release", "release_claim", "reset_call", "hold", "unhold", "cancel"),
        )
    },
    ("schedule", "run"): (ADMIN,),
    ("schedule", "pause"): (ADMIN,),
    ("schedule", "resume"): (ADMIN,),
    ("wait", "approve"): (APPROVER, ADMIN),
    ("wait", "reject"): (APPROVER, ADMIN),
    ("wait", "respond"): (APPROVER, ADMIN),
}
"""Who may ask for which verb."""

STARTS = ("roost_workitem_verb_all",)
"""Addresses that start a verb on all that match, for whoever may ask for it."""

READERS = (OPERATOR, ADMIN)
"""Who may read payloads, states, results, recorded calls and errors."""

PUBLIC_JSON = frozenset(
    {
        *("workitem.resources", "worker.engines", "worker.pools", "worker.versions", "worker.backend_pids"),
        *("wait.spawned", "schedule.options", "trigger.options", "webhook.options", "webhook.payload"),
        *("apitoken.scopes", "apitoken.namespaces"),
        *("webhook.verifier_options", "webhooktarget.events", "webhooktarget.contents", "webhooktarget.options"),
    }
)
"""JSON that is no content but configuration: maps, names, numbers. All other JSON is for readers alone."""
