"""pygls: a language server with one feature of its own, over stdin and stdout."""

from pygls.lsp.server import LanguageServer

language_server = LanguageServer("ping", "1")


@language_server.feature("ping")
def ping(server: LanguageServer, params: object) -> dict[str, object]:
    """Answer {}."""
    return {}


language_server.start_io()
