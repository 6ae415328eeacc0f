"""The promises of a store by level, one function each: its first line is the promise, and it raises what breaks it."""
