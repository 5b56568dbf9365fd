"""Runs thousands of mixed jobs through one worker, and checks that nothing grows. Linux only."""
