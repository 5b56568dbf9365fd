"""Transcribes many recordings through one worker: collects them, runs them, reports and resumes."""
