"""The environment probe: what imports, what works, which devices there are, why not, what to do.

It stands apart from the rest of the worker, so that it runs where the worker does not: it needs
msgspec and the standard library. Whatever else it looks at is tried in child processes.
"""
