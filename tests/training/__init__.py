"""Trains the small real models the tests run on, from synthetic speech. Tests never import this."""
