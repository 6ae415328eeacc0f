"""Which of the shop's tables are where."""

REPORTS = {"dailysales"}


class Reports:
    """Keeps figures in the database of reports, and everything else out of it."""

    def db_for_read(self, model, **hints):
        """Return where figures are read."""
        return "reports" if model._meta.model_name in REPORTS else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        """Say which tables are made where."""
        return (db == "reports") == (model_name in REPORTS)
