"""The read side: plain functions that admin, API and command line share. Nothing here changes a row.

    items      find one item, list many, count by state
    search     what people type to find items, read into terms
    found      the items for which the terms of a search hold
    overview   how many items are in each state, and how old the oldest is
    attention  what somebody should look at
    pulse      the last hour, minute by minute
    windows    counts and reads that end somewhere on tables of any size
    timeline   an item's events and snapshots, paged
    why        the exact reason why an item is not running
    dead       dead letters, one by one and grouped by what went wrong
    workers    worker processes, and which of them are alive
    resources  who holds what, who waits for whom
    artifacts  an item's files
    feed       a cursor over the events of all items, for live pages
    verify     the invariants that must hold, item by item
    doctor     is this installation able to work
    vacuum     who keeps PostgreSQL from removing dead rows

Every function takes `using`, the alias of the work database, by default the one Roost writes to.
"""
