"""Small servers that answer `ping`, one a peer; each runs as a process of its own."""
