"""Live recognition on real speech, at simulated real time."""
