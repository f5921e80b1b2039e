"""How fast a gallery searches at a promised recall, beside its peers: `python -m benchmarks.gallery`."""
