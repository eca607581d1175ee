"""``worker device``: loads the engine and sets its device, and no more."""

import argparse

from tinynet.engine.worker import engine


def main(argv):
    """Return 0 where the engine can use the device."""
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker device")
    engine.add_arguments(parser)
    engine.load(parser.parse_args(argv))
    return 0
