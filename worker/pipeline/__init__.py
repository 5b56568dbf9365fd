"""A whole job: recognition, alignment and diarization side by side, merged into one transcript."""
