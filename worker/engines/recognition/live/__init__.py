"""Live recognition: words while they are said."""
