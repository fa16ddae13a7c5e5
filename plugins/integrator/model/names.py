"""How projects, pipes, flows, credentials and tables may be called."""

NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
"""Lower case, digits, single underscores."""
