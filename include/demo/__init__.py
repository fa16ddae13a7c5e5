"""A small shop and a small ERP on loopback, for `scripts/run`, the tutorial and the tests. Not part of the wheel."""
