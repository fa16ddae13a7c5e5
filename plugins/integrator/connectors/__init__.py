"""Kinds of systems: how records are read from them and written to them."""
