"""The whole job against the whisperx package: `python -m benchmarks.pipeline`."""
