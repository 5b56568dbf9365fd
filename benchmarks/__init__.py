"""Benchmarks that compare the worker with peers and floors, one command each."""
