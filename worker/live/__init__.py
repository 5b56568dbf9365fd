"""Live streams, seen from the front: their input, what becomes of it, and their end."""
