"""Trains the tests' small real models from synthetic speech. Tests never import this package."""
