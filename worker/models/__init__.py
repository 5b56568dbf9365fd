"""What the worker knows about models before any of them is loaded."""
