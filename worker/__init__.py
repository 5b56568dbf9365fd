"""The transcription worker: a light front that speaks JSON-RPC on stdio, and its engines."""

__version__ = "0.1.0"
