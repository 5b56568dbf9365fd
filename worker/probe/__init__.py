"""The environment probe: tests packages, devices, caches and the hub, and suggests remedies.

It must run where the worker does not, so it stands apart from the rest of the worker: it needs only
msgspec and the standard library. It tries everything else in child processes.
"""
