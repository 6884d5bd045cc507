"""Engines of the ingest service."""
