"""Vectors for JSON."""
