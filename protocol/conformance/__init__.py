"""Tests any server's JSON-RPC with shared vectors; `python -m protocol.conformance` runs them."""

from protocol.conformance.runner import Failure, ServerGone, Session, run_vector
from protocol.conformance.vectors import Vector, load_vectors

__all__ = ["Failure", "ServerGone", "Session", "Vector", "load_vectors", "run_vector"]
