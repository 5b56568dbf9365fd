"""The worker against the same faster-whisper call in a bare script."""
