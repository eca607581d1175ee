"""``worker script``: runs a user's pycaffe script.

This process has replaced the command that was to run the script, so no parent reads events: its
streams, signals and exit status are the user's.
"""

import argparse
import importlib
import sys


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker script")
    parser.add_argument("--engine", required=True, metavar="MODULE")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(argv)


def main(argv):
    """Run the script and exit as Python does after a script, with its atexit functions."""
    options = parse(argv)
    runner = importlib.import_module(options.engine + ".pycaffe.script")
    sys.exit(runner.run(options.script, options.arguments))
