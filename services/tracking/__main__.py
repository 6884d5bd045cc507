"""Starts the tracking service."""

from rushes.service import main
from services.tracking.service import FULL_NAME, register

if __name__ == "__main__":
    main("tracking", FULL_NAME, register)
