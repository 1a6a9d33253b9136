"""Providers for those who have no keys: each is played by a process of its own, over real sockets."""
