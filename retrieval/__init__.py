"""Neighbours that survive a model upgrade."""
