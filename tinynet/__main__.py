"""Runs the command line: ``python -m tinynet``, or ``python .../tinynet``, this folder by its path.

By its path, as runners start their jobs, no file of the working directory is taken for a module,
and the package is the one that this file lies in.
"""

import importlib.util
import os
import sys


def _load_package(folder: str) -> None:
    """Make ``folder`` the package ``tinynet``, and take it itself off the module path."""
    if os.path.abspath(sys.path[0]) == folder:
        del sys.path[0]
    spec = importlib.util.spec_from_file_location(
        "tinynet", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tinynet"] = module
    spec.loader.exec_module(module)


if not __package__:
    _load_package(os.path.dirname(os.path.abspath(__file__)))

from tinynet.cli.main import main  # noqa: E402 - it is there only now

main()
