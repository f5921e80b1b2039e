"""What the two packages reach, each figure beside its peers: `python -m benchmarks --list`."""
