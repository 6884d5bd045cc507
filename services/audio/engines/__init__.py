"""One module for each engine of the audio stage, and the networks that they run."""
