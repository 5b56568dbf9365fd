"""Alignment: a wav2vec2 model gives each word its time."""
