"""Our own recogniser."""
