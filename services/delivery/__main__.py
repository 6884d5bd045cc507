"""Starts the delivery service."""

from rushes.service import main
from services.delivery.service import FULL_NAME, register

if __name__ == "__main__":
    main("delivery", FULL_NAME, register)
