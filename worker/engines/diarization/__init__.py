"""Diarization: a pyannote.audio pipeline tells who speaks when."""
