"""The kernel of rushes: what every process shares."""
