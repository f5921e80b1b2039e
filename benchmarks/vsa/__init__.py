"""What the encoder reaches on the public data sets: `python -m benchmarks.vsa.quality` and `.rate`."""
