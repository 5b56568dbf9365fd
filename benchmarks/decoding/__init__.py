"""How long it takes to read a recording, beside faster-whisper."""
