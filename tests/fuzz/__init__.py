"""Fuzzing: bytes, sessions and recordings that nobody would send, against models of what is right.

The corpus, a few sessions and a few damaged recordings are part of the test suite; the long forms
are `python -m tests.fuzz`.
"""
