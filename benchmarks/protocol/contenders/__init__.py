"""Small servers that answer `ping`, one per peer; each runs in its own process."""
