"""Many recordings through one worker: what to do, what is done, and how far it is."""
