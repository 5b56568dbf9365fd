"""Programs that use the worker as its users do."""
