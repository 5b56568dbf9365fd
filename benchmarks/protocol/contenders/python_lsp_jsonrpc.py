"""python-lsp-jsonrpc: its stream reader and writer around an endpoint."""

import sys

from pylsp_jsonrpc.endpoint import Endpoint
from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

writer = JsonRpcStreamWriter(sys.stdout.buffer)
endpoint = Endpoint({"ping": lambda params: {}}, writer.write)
JsonRpcStreamReader(sys.stdin.buffer).listen(endpoint.consume)
