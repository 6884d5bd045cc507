"""What leaves the system: who speaks on screen, exports, finished projects."""
