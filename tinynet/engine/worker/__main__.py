"""Starts a worker: ``PYTHON .../tinynet/engine/worker COMMAND ARGUMENTS``.

The parent runs this folder by its path, not as ``-m tinynet.engine.worker``: real Caffe's
interpreter has no tinynet installed, and with a PYTHONPATH that leads to ours it would also import
our numpy.  So the package is loaded from the folder that this file lies in.

Exit status: 0 done, 1 failed (an ``error`` event says why), 2 wrong arguments, 75 stopped early.
A failed CHECK of real Caffe ends in SIGABRT.
"""

import importlib
import importlib.util
import os
import sys

COMMANDS = ("train", "predict", "device", "tool", "steps", "bench", "script")


def load_package():
    """Import the package ``tinynet`` that this file is part of; take this folder off sys.path."""
    if __package__:
        return
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    spec = importlib.util.spec_from_file_location(
        "tinynet", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["tinynet"] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]


def main():
    load_package()
    from tinynet.engine.worker import channel
    from tinynet.errors import TinynetError, os_error_message

    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.stderr.write("worker: the first argument is %s\n" % " or ".join(COMMANDS))
        return 2
    if sys.argv[1] == "script":
        return importlib.import_module("tinynet.engine.worker.script").main(sys.argv[2:])
    channel.open_events()
    channel.die_with_parent()
    if sys.argv[1] == "tool":
        channel.let_signals_end_us()  # as in Caffe, wherever the tool does not catch them
    else:
        channel.leave_signals_to_parent()
    try:
        command = importlib.import_module("tinynet.engine.worker." + sys.argv[1])
        return command.main(sys.argv[2:]) or 0
    except TinynetError as error:
        channel.emit("error", message=str(error), kind=type(error).__name__)
        return error.exit_status
    except BrokenPipeError:
        return 1  # the parent has gone
    except OSError as error:
        channel.emit("error", message=os_error_message(error))
        return 1
    except Exception as error:
        # the traceback goes to the log; the parent gets the error itself in one line
        importlib.import_module("traceback").print_exc()
        said = str(error).strip().split("\n")[0]  # torch reports a GPU's error in several lines
        channel.emit("error", message="%s: %s" % (type(error).__name__, said))
        return 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit(): the prefetching threads of a net that still exists can hang or crash the
    # interpreter's shutdown.
    os._exit(status)
