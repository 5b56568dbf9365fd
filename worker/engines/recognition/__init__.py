"""Recognition: Whisper by faster-whisper, sequential or batched, and by whisperx."""
