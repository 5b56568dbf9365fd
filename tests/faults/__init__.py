"""Causes faults at random moments: the worker survives, loses nothing and leaves nothing behind.

`python -m tests.faults` runs many; `test_faults.py` runs each kind once. Linux only: the faults
and the search for what is left behind rely on /proc.
"""
