"""Faces and objects, frame by frame."""
