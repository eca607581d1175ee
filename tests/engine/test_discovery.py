"""Finding engines: search order, what is not Caffe, and one line for every failure."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tinynet.engine import discovery, interpreters
from tinynet.engine.failures import explain_failure
from tinynet.engine.interpreters import probe_caffe
from tinynet.errors import TinynetError, UsageError

CAFFE = "__version__ = '{}'\ndef get_solver(path): pass\n"


def interpreter(folder: Path, module: str | None = None, placeholder: bool = False) -> str:
    """A separate interpreter with ``module`` as its ``caffe``, or with the placeholder package."""
    modules = folder / "modules"
    modules.mkdir(parents=True)
    if module is not None:
        (modules / "caffe.py").write_text(module)
    if placeholder:
        (modules / "caffe-0.1.0.dist-info").mkdir()
        metadata = "Metadata-Version: 2.1\nName: caffe\nVersion: 0.1.0\n"
        (modules / "caffe-0.1.0.dist-info/METADATA").write_text(metadata)
    python = folder / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


@pytest.fixture(autouse=True)
def no_engine_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(discovery.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(discovery, "VENV", ".venv-of-this-test")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_the_option_comes_before_the_variable_before_the_environment_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter(tmp_path / "here/.venv-of-this-test", CAFFE.format("venv"))
    variable = interpreter(tmp_path / "variable", CAFFE.format("variable"))
    option = interpreter(tmp_path / "option", CAFFE.format("option"))
    assert discovery.find("caffe").version == "venv"
    monkeypatch.setenv(discovery.ENVIRONMENT_VARIABLE, variable)
    assert discovery.find("caffe").version == "variable"
    assert discovery.find("caffe", option) == discovery.Engine("caffe", "caffe", option, "option")


def test_an_environment_may_be_named_by_its_folder_or_relative_to_here(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "here/env", CAFFE.format("1"))
    assert discovery.find("caffe", "env").python == python
    assert discovery.find("caffe", "env/bin/python").python == python


NO_CAFFE = "--caffe-python names {}, which is not a Python that imports caffe: "


def refusal(named: object) -> str:
    """The one-line error for ``--caffe-python NAMED``."""
    with pytest.raises(TinynetError) as error:
        discovery.find("caffe", str(named))
    line = str(error.value)
    assert "\n" not in line and "import json" not in line and len(line) < 700
    return line


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_named_interpreter_without_caffe_is_an_error_and_no_other_is_tried(
    tmp_path: Path,
) -> None:
    interpreter(tmp_path / "here/.venv-of-this-test", CAFFE.format("venv"))
    empty = interpreter(tmp_path / "empty")
    assert refusal(empty).startswith(NO_CAFFE.format(empty) + "ModuleNotFoundError: No module")
    for absent in ("no/such/python", ""):
        assert "No such file or directory" in refusal(absent)


def test_a_program_that_is_not_python_is_recognised_and_given_no_code(tmp_path: Path) -> None:
    no_python = "it is not a Python interpreter ("
    assert refusal("/bin/ls").startswith(NO_CAFFE.format("/bin/ls") + no_python)
    complains = program(tmp_path / "complains", "echo first >&2; echo last line >&2; exit 3")
    assert refusal(complains).endswith(f"{no_python}last line)")
    ran = tmp_path / "ran"
    shell = program(tmp_path / "shell", f'[ "$1" = --version ] || touch {ran}; echo sh 5.2')
    assert refusal(shell).endswith(f"{no_python}sh 5.2)") and not ran.exists()
    old = program(tmp_path / "old", "echo Python 2.7.18 >&2")
    assert refusal(old).endswith("it is Python 2.7.18; workers need 3.6 or newer")


def test_a_path_that_cannot_be_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert f"{tmp_path}/folder/bin/python" in refusal(tmp_path / "folder")
    plain = program(tmp_path / "plain", "")
    plain.chmod(0o644)
    assert refusal(plain).endswith("(Permission denied)")
    data = program(tmp_path / "data", "")
    data.write_bytes(b"\x00\x01 no program")
    assert refusal(data).endswith("(Exec format error)")
    assert "null" in refusal("a/\0b")


def test_a_python_that_never_answers_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "LIMIT_SECONDS", 0.5)
    hangs = program(tmp_path / "hangs", "sleep 1000; true")  # its child holds the pipe
    assert refusal(hangs).endswith("(it has not answered within 0.5 s)")
    later = program(tmp_path / "later", '[ "$1" = --version ] && echo Python 3.9.1 || sleep 1000')
    assert refusal(later).endswith("caffe: it has not answered within 0.5 s")


def test_a_caffe_without_numpy_or_with_output_at_import_is_reported_correctly(
    tmp_path: Path,
) -> None:
    hidden = "import sys\nsys.modules['numpy'] = None\n" + CAFFE.format("1")
    assert "it has no numpy" in refusal(interpreter(tmp_path / "bare", hidden))
    several = "raise ImportError('first line\\nsecond line')\n"
    assert refusal(interpreter(tmp_path / "s", several)).endswith("first line second line")
    talks = interpreter(tmp_path / "talks", CAFFE.format("7"))
    (tmp_path / "talks/modules/sitecustomize.py").write_text("print('welcome')\n")
    assert discovery.find("caffe", talks).version == "7"


def test_a_failed_import_blames_another_pythons_packages_in_pythonpath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = interpreter(tmp_path / "broken", "raise ImportError('numpy of another ' * 100)\n")
    assert "PYTHONPATH" not in refusal(broken)
    own = f"/opt/lib/python3.{sys.version_info.minor}/site-packages"
    monkeypatch.setenv("PYTHONPATH", f"/opt/caffe/python:{own}")
    assert "PYTHONPATH" not in refusal(broken)
    monkeypatch.setenv("PYTHONPATH", f"/opt/caffe/python:{own}:/opt/lib/python3.2/site-packages")
    reason = refusal(broken)
    assert reason.endswith("another Python (/opt/lib/python3.2/site-packages): unset it")
    assert len(reason) < 700


def test_the_placeholder_package_is_recognised(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "placeholder", placeholder=True)
    assert probe_caffe(python).placeholder == "0.1.0"
    with pytest.raises(TinynetError, match="empty placeholder.*kendryte-caffe"):
        discovery.find("caffe", python)


def test_a_folder_named_caffe_in_the_working_directory_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "here/caffe").mkdir()
    python = interpreter(tmp_path / "empty")
    assert "No module named 'caffe'" in probe_caffe(python).error


def test_a_module_that_aborts_its_interpreter_is_reported(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "aborts", "import os\nos.abort()\n")
    assert probe_caffe(python).caffe is None
    assert probe_caffe(python).error


def test_real_caffe_is_found_with_its_version(caffe_python: str) -> None:
    probe = probe_caffe(caffe_python)
    assert (probe.caffe, probe.error) == ("1.0.0", "") and probe.file is not None


def test_auto_selects_torch_if_it_is_installed_and_caffe_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter(tmp_path / "here/.venv-of-this-test", CAFFE.format("venv"))
    installed = discovery.importlib.util.find_spec("torch") is not None
    assert discovery.find("auto").name == ("torch" if installed else "caffe")
    monkeypatch.setattr(discovery.importlib.util, "find_spec", lambda name: None)
    assert discovery.find("auto").name == "caffe"
    shutil.rmtree(tmp_path / "here/.venv-of-this-test")
    with pytest.raises(TinynetError, match="no engine found: pip install .*setup_caffe.sh"):
        discovery.find("auto")


def test_an_unknown_engine_is_refused_with_the_list_of_engines() -> None:
    with pytest.raises(UsageError, match="no engine 'pytorch'; the engines are auto, caffe, torch"):
        discovery.find("pytorch")


ENGINE = discovery.Engine("caffe", "caffe", "/usr/bin/python3", "1.0.0")
CHECK = "F1122 23:11:43.123456 12345 {} Check failed: {}"


@pytest.mark.parametrize(
    ("status", "log", "expected"),
    [
        (-6, [CHECK.format("net.cpp:1]", "a == b (1 vs. 2) bad")],
         "caffe gave up: Check failed: a == b (1 vs. 2) bad"),
        (-6, ["F20261122 23:11:43.1 1 common.cpp:66] Cannot use GPU in CPU-only Caffe: check mode.",
              "*** Check failure stack trace: ***", "    @ 0x7f google::LogMessage::Fail()"],
         "built for the CPU only"),
        (-6, [CHECK.format("syncedmem.cpp:71]", "error == cudaSuccess (2 vs. 0)  out of memory")],
         "the GPU is out of memory"),
        (-6, ["terminate called after throwing an instance of 'std::bad_alloc'"], "out of memory"),
        (-7, ["I1122 23:11:43.123456 12345 solver.cpp:1] Iteration 0"], "SIGBUS.*cut short"),
        (-9, ["I1122 23:11:43.123456 12345 solver.cpp:1] Iteration 0"], "SIGKILL.*out of memory"),
        (-24, [], "SIGXCPU.*ulimit -t"),
        (3, ["what it said last", ""], "status 3: what it said last"),
    ],
)  # fmt: skip
def test_every_failure_of_a_worker_is_one_line(status: int, log: list[str], expected: str) -> None:
    message = explain_failure(ENGINE, status, log)
    assert "\n" not in message
    assert re.search(expected.replace("(", r"\(").replace(")", r"\)"), message), message
