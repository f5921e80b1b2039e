"""Benchmarks of upgrades: the verdict against the truth, and orders to backfill in."""
