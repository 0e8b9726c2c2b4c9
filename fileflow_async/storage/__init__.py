"""Bytes by key: what every backend promises, and the backends."""
