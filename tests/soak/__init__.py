"""Let real workers run a mixed load for minutes while they, and the database, are killed: `make soak`."""
