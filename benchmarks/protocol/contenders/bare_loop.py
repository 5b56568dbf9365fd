"""The floor: orjson loads and dumps over the pipes, many lines per read, without any checks."""

import os

import orjson


def main() -> None:
    """Answer every line with `{}` as its result."""
    tail = b""
    while data := os.read(0, 64 * 1024):
        *lines, tail = (tail + data).split(b"\n")
        replies = []
        for line in lines:
            request = orjson.loads(line)
            replies.append(orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {}}))
        if replies:
            os.write(1, b"\n".join(replies) + b"\n")


main()
