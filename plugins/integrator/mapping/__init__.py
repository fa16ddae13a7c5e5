"""Expressions and mappings: parsed once, compiled to one Python function each."""
