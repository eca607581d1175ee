"""``worker tool``: runs an action of Caffe's command line by the engine's own ``tool`` module.

Only the torch engine has one; real Caffe comes with the program itself.
"""

import argparse
import importlib
import json

from tinynet.errors import TinynetError


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker tool")
    parser.add_argument("--engine", required=True, metavar="MODULE")
    parser.add_argument("action")
    parser.add_argument("--flags", type=json.loads, default={}, metavar="JSON")
    return parser.parse_args(argv)


def main(argv):
    """Run an action and return its exit status.  The parent passes SIGINT and SIGHUP on to it."""
    options = parse(argv)
    try:
        tool = importlib.import_module(options.engine + ".pycaffe.tool")
        # a net's Python layers import `caffe`
        importlib.import_module(options.engine).install_as_caffe()
    except ImportError as error:
        raise TinynetError(
            "the engine '%s' has no command line of Caffe: %s" % (options.engine, error)
        ) from error
    return tool.run(options.action, options.flags)
