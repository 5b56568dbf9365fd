"""One JSON-RPC session on a pair of pipes: client and front, or front and engine."""
