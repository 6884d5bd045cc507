"""Starts the ingest service."""

from rushes.service import main
from services.ingest.service import FULL_NAME, register

if __name__ == "__main__":
    main("ingest", FULL_NAME, register)
