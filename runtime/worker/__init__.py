"""Run items' steps in worker processes.

    runworker ── first process: signals, the stop pipe's only write end           cluster.py
        └── sentinel (django-q2): keeps the pool complete                         sentinel.py
              ├── pusher: asks the broker, keeps one spare ticket in the queue    broker.py, tickets.py
              ├── monitor: reads results, writes nothing
              └── workers: each takes one ticket, drains until stop              tasks.py → drain.py

No lock is shared between these processes: what they share are pipes and a datagram socket, which the kernel leaves
in order when a process is killed at any instruction. The death of the first process or of the sentinel ends the rest.
"""

from __future__ import annotations
