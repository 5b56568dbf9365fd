"""Compares the worker with the same faster-whisper call in a bare script."""
