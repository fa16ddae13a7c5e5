"""Proves that no record is kept: moves marked records through every failure, then searches everything for the marks."""
