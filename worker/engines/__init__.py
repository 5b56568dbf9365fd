"""Engines: child processes that hold models, and the code that runs inside of them."""
