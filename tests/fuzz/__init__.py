"""Fuzzes the worker with bytes, sessions and recordings, and checks it against reference models.

The test suite runs the corpus, a few sessions and a few damaged recordings; `python -m tests.fuzz`
runs the long forms.
"""
