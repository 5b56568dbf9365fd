"""Diarization: finds who speaks when, with a pyannote.audio pipeline."""
