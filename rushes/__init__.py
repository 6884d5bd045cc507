"""The kernel of rushes: what every process shares."""

from importlib.metadata import version

__version__ = version("rushes")
