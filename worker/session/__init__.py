"""One JSON-RPC session on a pair of pipes, as the front and every engine hold it."""
