"""The contract, sans-I/O: framing, envelopes, error kinds, typed params and results.

Nothing here reads, writes or knows of the worker.
"""

PROTOCOL_VERSION = "1.0"
"""Version of the method set; the major number changes when a client could break."""
