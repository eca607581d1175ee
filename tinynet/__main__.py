"""Runs the command line as ``python -m tinynet``."""

from tinynet.cli.main import main

main()
