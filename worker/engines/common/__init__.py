"""Shared by several engines: recordings, checkpoints, warnings, torch devices and pickles."""
