"""Kills, outages and random writers against the real processes."""
