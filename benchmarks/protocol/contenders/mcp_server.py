"""mcp: the low-level server over stdin and stdout; `ping` is part of the protocol."""

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server


async def main() -> None:
    """Serve until the end of input."""
    server: Server = Server("ping")
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


anyio.run(main)
