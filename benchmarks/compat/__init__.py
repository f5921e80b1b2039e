"""What the maps between models reach, each figure beside its peers; results in RESULTS.md."""
