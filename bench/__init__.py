"""Peers and limits, side by side: what moving a record costs. `scripts/bench`, or `python -m bench`."""
