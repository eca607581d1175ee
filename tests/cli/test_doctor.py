"""``tinynet doctor``."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.engine.test_discovery import CAFFE, interpreter
from tinynet.engine import discovery, doctor
from tinynet.engine.interpreters import PLACEHOLDER


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide every engine but those that a test makes; importing torch takes seconds."""
    monkeypatch.delenv(discovery.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(discovery, "VENV", ".venv-of-this-test")
    monkeypatch.setattr(discovery.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_no_engine_gives_exit_status_1_and_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("doctor")
    assert done.status == 1
    assert "pip install torch" in done.stdout and "setup_caffe.sh" in done.stdout


def test_doctor_names_no_file_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "scripts/setup_caffe.sh"
    monkeypatch.setattr(discovery, "SET_UP_CAFFE", script)  # where a wheel would have it
    done = run("doctor")
    assert "setup_caffe.sh" not in done.stdout
    assert "python3.9 -m venv .venv-of-this-test" in done.stdout
    script.parent.mkdir()
    script.write_text("")
    assert f"run {script};" in run("doctor").stdout  # seen from another folder
    monkeypatch.chdir(tmp_path)
    assert "run scripts/setup_caffe.sh;" in run("doctor").stdout


def test_optional_parts_are_listed_with_their_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ("optuna", "plyvel")
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in missing else "1.2")
    required, _, optional = run("doctor").stdout.partition("\nOptional\n")
    lines = {line.split()[0]: line for line in optional.split("\n\n")[0].splitlines()}
    assert set(lines) == set(doctor.OPTIONAL)
    assert lines["optuna"].endswith("tinynet search: not here: pip install optuna")
    assert lines["h5py"].endswith("HDF5: 1.2")
    assert "optuna" not in required.partition("Versions")[2]


def test_json_names_engine_interpreters_devices_and_versions(tmp_path: Path) -> None:
    module = CAFFE.format("1.0") + "def set_device(n): pass\ndef set_mode_gpu(): pass\n"
    python = interpreter(tmp_path / "env", module)
    done = run("doctor", "--json", "--caffe-python", python)
    found = json.loads(done.stdout)
    assert done.status == 0 and found["usable"]
    assert found["engines"]["caffe"] == {
        "works": True, "version": "1.0", "python": python, "gpu": True
    }  # fmt: skip
    assert found["interpreters"][0]["python"] == python
    assert found["devices"]["cpu"]["cores"] >= 1 and found["versions"]["numpy"]


def test_the_placeholder_package_is_recognised_as_one(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "env", placeholder=True)
    done = run("doctor", "--caffe-python", python)
    assert f"{python}: {PLACEHOLDER}" in done.stdout


def test_a_cpu_build_of_real_caffe_is_recognised(caffe_python: str) -> None:
    done = run("doctor", "--caffe-python", caffe_python)
    assert "(GPU: no, built for the CPU only)" in done.stdout or "(GPU: yes)" in done.stdout


def test_a_gpu_that_torch_cannot_see_gets_advice() -> None:
    gpu = {"driver": "390.1", "gpus": [{"number": "0", "name": "K80"}]}
    findings = doctor.Findings(
        tinynet="0", python={}, interpreters=[], versions=dict.fromkeys(doctor.REQUIRED, "1"),
        engines={"torch": {"works": True, "devices": [], "cuda_build": None},
                 "caffe": {"works": True}},
        devices={"nvidia": gpu},
    )  # fmt: skip
    (advice,) = doctor._advice(findings)
    assert "install a CUDA build of torch" in advice
    findings.engines["torch"]["cuda_build"] = "12.8"
    (advice,) = doctor._advice(findings)
    assert "driver 390.1 too old" in advice
    findings.engines["torch"]["why_none"] = "Found no NVIDIA driver on your system"
    (advice,) = doctor._advice(findings)
    assert "does not see it (Found no NVIDIA driver on your system): is" in advice
    findings.engines["torch"]["devices"] = [{"number": 0, "error": "CUDA error: busy"}]
    assert list(doctor._advice(findings)) == [
        "GPU 0 is here, but does not compute: CUDA error: busy"
    ]


def test_the_placeholder_is_reported_for_an_interpreter_without_real_caffe() -> None:
    both = {"python": "/both", "placeholder": "0.1.0", "caffe": "1.0.0"}
    findings = doctor.Findings(
        tinynet="0", python={}, interpreters=[both, {**both, "python": "/bare", "caffe": None}],
        versions=dict.fromkeys(doctor.REQUIRED, "1"),
        engines={"torch": {"works": True, "devices": []}, "caffe": {"works": True}},
        devices={"nvidia": {}},
    )  # fmt: skip
    assert list(doctor._advice(findings)) == [f"/bare: {PLACEHOLDER}"]
    findings.interpreters.pop()
    assert list(doctor._advice(findings)) == []


@pytest.mark.parametrize("seen", [1, 0])
def test_torchs_gpu_queries_are_answered_even_if_the_gpu_does_not_compute(
    seen: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch is a stand-in."""

    def fail(*given: object, **how: object) -> None:
        raise RuntimeError("CUDA error: all devices are busy.\nFor debugging consider")

    about = types.SimpleNamespace(name="Stand-in", total_memory=2**30, major=9, minor=0)
    cuda = types.SimpleNamespace(
        is_available=lambda: bool(seen),
        device_count=lambda: seen,
        get_device_properties=lambda number: about,
        init=fail,
    )
    torch = types.SimpleNamespace(
        cuda=cuda,
        version=types.SimpleNamespace(cuda="12.8"),
        get_num_threads=lambda: 1,
        zeros=fail,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)  # type: ignore[arg-type]
    exec(doctor._TORCH, {})
    answer = json.loads(capsys.readouterr().out)
    if seen:
        assert answer["devices"][0]["error"] == "CUDA error: all devices are busy."
    else:
        assert answer["devices"] == [] and "all devices are busy" in answer["why_none"]
