"""Deliveries become projects, and their videos become 25 frames per second."""
