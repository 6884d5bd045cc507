"""Starts the audio service."""

from rushes.service import main
from services.audio.service import FULL_NAME, register

if __name__ == "__main__":
    main("audio", FULL_NAME, register)
