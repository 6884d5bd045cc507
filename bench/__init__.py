"""Measurements of speed and quality, each beside the algorithm of the reference or a peer."""
