"""One module per engine; heavy packages are imported only there."""
