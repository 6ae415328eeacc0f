"""Make the steps of a recorded run again, from what was recorded alone, and say where they part from the record.

    record         what is recorded of a run: which answers, calls, children and attempt each step had
    surroundings   what such a step sees in the place of the world: recorded calls, staged things measured
    stand_in       the empty folder that it has for a workspace
    watch          what it would do to the rest of the world, refused
    compare        what a step came to, beside what was recorded of it
    dry            `replay()`: step by step, each from its recorded snapshot, up to the first divergence

Nothing is stored, and nothing is called. An atomic step runs in a transaction that is rolled back; any other write to
a database, a change to a workspace, a connection to somewhere else and a process started are refused, and are a
divergence.
"""
