"""`python -m rushes.cli`: the same as `rushes`."""

from rushes.cli.main import main

main()
