"""Examines this machine: engines, interpreters, devices, versions, and what to do about each.

Whatever may abort, or keep a device occupied (importing Caffe, starting CUDA), runs in a child.
"""

from __future__ import annotations

import glob
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tinynet import __version__
from tinynet.engine import discovery, environment
from tinynet.engine.interpreters import PLACEHOLDER, Answer, ask, last_line, probe_caffe
from tinynet.errors import TinynetError

# the packages that setup.py requires
REQUIRED = (
    *("numpy", "lmdb", "pillow", "protobuf", "matplotlib", "click", "tqdm"),
    *("scipy", "jinja2", "rich", "msgspec", "igraph"),
)
# those of its extras, and their purposes; all but torch serve one command or one kind of file
OPTIONAL = {
    "torch": "the torch engine",
    "simplejpeg": "faster decoding of JPEGs, which Pillow decodes too",
    "optuna": "tinynet search",
    "nvidia-ml-py": "choosing free GPUs (tinynet jobs local)",
    "h5py": "snapshots and data layers in HDF5",
    "plyvel": "data layers that read LevelDB",
    "pyarrow": "converting data sets in parquet files",
    "pydot": "caffe.draw's graphs for graphviz",
}
if sys.version_info < (3, 10):
    OPTIONAL["eval_type_backport"] = "annotations as Python 3.10 reads them"

_TORCH = """
import json, torch
c = torch.cuda
out = {"cuda_build": torch.version.cuda, "devices": [], "threads": torch.get_num_threads()}
if c.is_available():
    for i in range(c.device_count()):
        p = c.get_device_properties(i)
        out["devices"].append({"number": i, "name": p.name, "bytes": p.total_memory,
                               "capability": "%d.%d" % (p.major, p.minor), "error": ""})
        try:
            torch.zeros(1, device="cuda:%d" % i).add_(1).item()  # do its kernels run on this one?
        except RuntimeError as error:
            out["devices"][-1]["error"] = str(error).strip().split("\\n")[0]
elif out["cuda_build"]:
    try:
        c.init()
    except (RuntimeError, AssertionError) as error:
        out["why_none"] = str(error).strip().split("\\n")[0].rstrip(". ")
print(json.dumps(out))
"""
_CAFFE_GPU = "import caffe; caffe.set_device(0); caffe.set_mode_gpu(); print('gpu')"


@dataclass
class Findings:
    """Everything that ``tinynet doctor`` reports; ``advice``: what to do, one line each."""

    tinynet: str
    python: dict[str, str]
    engines: dict[str, dict[str, Any]]
    interpreters: list[dict[str, Any]]
    devices: dict[str, Any]
    versions: dict[str, str | None]
    advice: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether at least one engine works and every required package is installed."""
        missing = [package for package in REQUIRED if self.versions[package] is None]
        return not missing and any(entry["works"] for entry in self.engines.values())


def examine(caffe_python: str | None = None) -> Findings:
    """Examine everything; takes some seconds, most of them to import torch in a child."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        torch = pool.submit(_torch)
        nvidia = pool.submit(_nvidia)
        probes = list(pool.map(probe_caffe, _interpreters(caffe_python)))
    findings = Findings(
        tinynet=__version__,
        python={"version": platform.python_version(), "path": sys.executable},
        engines={"torch": torch.result(), "caffe": _caffe(caffe_python)},
        interpreters=[probe.as_dict() for probe in probes],
        devices={"cpu": {"cores": os.cpu_count()}, "nvidia": nvidia.result()},
        versions={package: _version(package) for package in (*REQUIRED, *OPTIONAL)},
    )
    findings.advice = list(_advice(findings))
    return findings


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _interpreters(caffe_python: str | None) -> list[str]:
    """Interpreters that may have Caffe, or in which it may be installed (3.6 to 3.9), each once.

    Those that ``discovery.find_caffe`` tries, then pythons on PATH and under ~/.pyenv/versions.
    """
    found = [python for python, _, _ in discovery.caffe_candidates(caffe_python)]
    for minor in range(6, 10):
        on_path = shutil.which(f"python3.{minor}")
        if on_path and "/shims/" not in on_path:  # a pyenv shim may lead to no interpreter
            found.append(on_path)
        home = os.path.expanduser(f"~/.pyenv/versions/3.{minor}.*/bin/python")
        found += sorted(glob.glob(home))
    return list(dict.fromkeys(found))


def _reason(found: Answer) -> str:
    """Why a child failed, in one line."""
    return found.fault or last_line(found.stderr) or "it said nothing"


def _torch() -> dict[str, Any]:
    try:
        engine = discovery.find_torch()
    except TinynetError as error:
        return {"works": False, "reason": str(error)}
    child = ask([engine.python, "-c", _TORCH], **environment.of_script("torch"))
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        reason = f"torch {engine.version} does not start: {_reason(child)}"
        return {"works": False, "reason": reason}
    return {"works": True, "version": engine.version, "python": engine.python, **answer}


def _caffe(caffe_python: str | None) -> dict[str, Any]:
    try:
        engine = discovery.find_caffe(caffe_python)
    except TinynetError as error:
        return {"works": False, "reason": str(error)}
    entry: dict[str, Any] = {"works": True, "version": engine.version, "python": engine.python}
    child = ask([engine.python, "-c", _CAFFE_GPU], GLOG_logtostderr="1")
    entry["gpu"] = not child.fault
    if not entry["gpu"]:
        cpu_only = "CPU-only" in child.stderr
        entry["gpu_reason"] = "built for the CPU only" if cpu_only else _fatal(child)
    return entry


def _fatal(found: Answer) -> str:
    """The text of glog's first FATAL line; without one, why the child failed."""
    lines = [line for line in found.stderr.splitlines() if "] " in line and line[:1] == "F"]
    return lines[0].partition("] ")[2] if lines else _reason(found)


def _nvidia() -> dict[str, Any]:
    """What nvidia-smi reports; {} if there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = "index,name,memory.total,memory.free,driver_version"
    child = ask(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"])
    if child.fault:
        return {"error": last_line(child.stderr or child.stdout) or child.fault}
    rows = [[cell.strip() for cell in line.split(",")] for line in child.stdout.splitlines()]
    return {
        "driver": rows[0][4] if rows and len(rows[0]) > 4 else "",
        "gpus": [
            {"number": row[0], "name": row[1], "mebibytes": row[2], "free_mebibytes": row[3]}
            for row in rows
            if len(row) > 4
        ],
    }


def _advice(findings: Findings) -> Iterable[str]:
    """Yield what to do about each thing that is missing, the most important first."""
    for package in REQUIRED:
        if findings.versions[package] is None:
            yield f"{package} is missing: pip install {package}"
    torch, caffe = findings.engines["torch"], findings.engines["caffe"]
    if not torch["works"]:
        yield f"no torch engine: {torch['reason']}"
    for probe in findings.interpreters:
        if probe["placeholder"] and not probe["caffe"]:
            yield f"{probe['python']}: {PLACEHOLDER}"
            break
    if not caffe["works"]:
        how = discovery.how_to_get_caffe()
        yield f"no real Caffe (only needed to compare with, or for builds of your own): {how}"
    gpus = findings.devices["nvidia"].get("gpus", [])
    if gpus and torch["works"] and not torch["devices"]:
        if torch["cuda_build"] is None:
            yield "a GPU is here, but torch is a build for the CPU: install a CUDA build of torch"
        else:
            why = f" ({torch['why_none']})" if torch.get("why_none") else ""
            yield (
                f"a GPU is here, but torch (CUDA {torch['cuda_build']}) does not see it{why}: is "
                f"the driver {findings.devices['nvidia']['driver']} too old for that CUDA, or "
                "CUDA_VISIBLE_DEVICES set?"
            )
    for device in torch.get("devices", []):
        if device.get("error"):
            yield f"GPU {device['number']} is here, but does not compute: {device['error']}"
    if "error" in findings.devices["nvidia"]:
        yield f"nvidia-smi fails: {findings.devices['nvidia']['error']}; is the driver loaded?"
