"""The front against peers and floors: what its control traffic and its forwarding cost."""
