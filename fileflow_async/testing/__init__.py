"""Fakes and contracts, for our own tests and for those of users who write a backend."""
