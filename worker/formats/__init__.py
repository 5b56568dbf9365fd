"""Writes transcripts as files: one module per format or family, driven by `export`."""
