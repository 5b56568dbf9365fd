"""Faults at random moments: the worker stays up, loses nothing and leaves nothing behind.

`python -m tests.faults` runs many; `test_faults.py` runs each kind once. Linux only: the faults
are made, and what is left behind is found, by means of /proc.
"""
