"""The bulk copy, verification, repair and rejects, on real databases."""
