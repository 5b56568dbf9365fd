"""A long life in miniature: thousands of mixed jobs, and nothing that grows. Linux only."""
