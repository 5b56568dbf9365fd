"""Compares the cost of the front's control traffic and forwarding with peers and floors."""
