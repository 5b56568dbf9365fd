"""The contract between worker and clients: framing, envelopes, error kinds, params and results.

It is sans-I/O: nothing here reads, writes or imports the worker, so any client can use it.
"""

PROTOCOL_VERSION = "1.0"
"""Version of the method set; a change that can break a client raises the major number."""
