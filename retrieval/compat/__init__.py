"""One model's vectors in another model's space."""
