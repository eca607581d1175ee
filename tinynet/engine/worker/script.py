"""``worker script``: a user's pycaffe script, in the place of the process that asked for it.

It has no parent that reads events: its streams, its signals and its exit status are the user's.
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
    """Run the script and end as Python ends one: what it left to be done at exit is done."""
    options = parse(argv)
    runner = importlib.import_module(options.engine + ".pycaffe.script")
    sys.exit(runner.run(options.script, options.arguments))
