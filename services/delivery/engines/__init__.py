"""Engines of the delivery service, one module each; heavy imports live only here."""
