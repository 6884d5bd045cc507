"""One module for each engine; heavy imports happen only here."""
