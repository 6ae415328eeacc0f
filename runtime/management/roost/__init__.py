"""The commands of `manage.py roost`, one module for each group of them.

    call      what every command gets: where to write, which database, who acts; and the way from errors to exit codes
    printer   tables for people, one JSON document for programs
    shapes    rows as plain data

Each group has `register(commands)`, which declares its commands; a command is a function that takes a `Call`.
"""
