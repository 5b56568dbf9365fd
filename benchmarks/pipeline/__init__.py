"""Compares the whole job with the whisperx package: `python -m benchmarks.pipeline`."""
