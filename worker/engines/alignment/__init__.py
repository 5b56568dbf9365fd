"""Alignment: finds when each word is said, with a wav2vec2 model."""
