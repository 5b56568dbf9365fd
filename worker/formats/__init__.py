"""Transcripts as files: one module a format or family, and `export` that drives them."""
