"""What only the package index can show: make test-locks."""
