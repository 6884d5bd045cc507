"""Starts the scenes service."""

from rushes.service import main
from services.scenes.service import FULL_NAME, register

if __name__ == "__main__":
    main("scenes", FULL_NAME, register)
