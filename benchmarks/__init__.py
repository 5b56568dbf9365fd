"""Benchmarks: ratios against peers and floors, one command each."""
