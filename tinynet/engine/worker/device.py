"""``worker device``: loads the engine and sets its device, to test whether that works."""

import argparse

from tinynet.engine.worker import engine


def main(argv):
    """Return 0 if the engine can use the device."""
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker device")
    engine.add_arguments(parser)
    engine.load(parser.parse_args(argv))
    return 0
