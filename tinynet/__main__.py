"""Runs the command line, as ``python -m tinynet`` or as ``python .../tinynet`` (a folder's path).

Runners start their jobs by the path: no file of the working directory is then taken for a module,
and the package is certainly the one that this file lies in.
"""

import importlib.util
import os
import sys


def _load_package(folder: str) -> None:
    """Import ``folder`` as the package ``tinynet``, and remove the folder from the module path."""
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

from tinynet.cli.main import main  # noqa: E402 - importable only after _load_package

main()
