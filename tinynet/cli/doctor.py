"""``tinynet doctor``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tinynet.cli import shared_options

if TYPE_CHECKING:
    from tinynet.engine.doctor import Findings


@click.command(epilog=shared_options.example("tinynet doctor --json"))
@shared_options.caffe_python
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def doctor(caffe_python: str | None, as_json: bool) -> int:
    """Say which engines, interpreters, devices and versions are here, and what is missing.

    Exit status 0 where at least one engine works, 1 where none does.
    """
    from tinynet.engine.doctor import examine

    findings = examine(caffe_python)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(findings), "usable": findings.usable}))
    else:
        click.echo("\n".join(_report(findings)))
    return 0 if findings.usable else 1


def _report(findings: Findings) -> Iterator[str]:
    from tinynet.engine.doctor import OPTIONAL, REQUIRED

    yield f"tinynet {findings.tinynet}, Python {findings.python['version']}"
    yield f"  {findings.python['path']}"
    yield "\nEngines"
    for name, entry in findings.engines.items():
        yield f"  {name:6} {_engine(entry)}"
    yield "\nDevices"
    yield f"  CPU    {findings.devices['cpu']['cores']} cores"
    yield from (f"  {line}" for line in _gpus(findings))
    yield "\nInterpreters for real Caffe"
    for probe in findings.interpreters:
        said = f"Caffe {probe['caffe']}" if probe["caffe"] else f"no Caffe ({probe['error']})"
        yield f"  Python {probe['python_version'] or '?':8} {said}  {probe['python']}"
    yield "\nVersions"
    width = max(map(len, findings.versions))
    for package in REQUIRED:
        yield f"  {package:{width}}  {findings.versions[package] or 'not installed'}"
    yield "\nOptional"
    for package, purpose in OPTIONAL.items():
        version = findings.versions[package]
        state = version or f"not here: pip install {package}"
        yield f"  {package:{width}}  {purpose}: {state}"
    yield "\nTo do" if findings.advice else "\nNothing that is needed is missing."
    yield from (f"  {line}" for line in findings.advice)


def _engine(entry: dict[str, Any]) -> str:
    if not entry["works"]:
        return f"no: {entry['reason']}"
    text = f"{entry['version']}  {entry['python']}"
    if "gpu" in entry:
        return f"{text}  (GPU: {'yes' if entry['gpu'] else 'no, ' + entry['gpu_reason']})"
    build = f"CUDA {entry['cuda_build']}" if entry["cuda_build"] else "CPU build"
    return f"{text}  ({build}, {len(entry['devices'])} GPU seen)"


def _gpus(findings: Findings) -> Iterator[str]:
    nvidia = findings.devices["nvidia"]
    for gpu in nvidia.get("gpus", []):
        memory = f"{gpu['mebibytes']} MiB, {gpu['free_mebibytes']} free"
        yield f"GPU {gpu['number']}  {gpu['name']}, {memory} (driver {nvidia['driver']})"
    for device in findings.engines["torch"].get("devices", []):
        size = f"{device['bytes'] / 2**30:.1f} GiB"
        name = f"{device['name']}, {size}, compute capability {device['capability']}"
        yield f"GPU {device['number']}  seen by torch: {name}"
    if not nvidia and not findings.engines["torch"].get("devices"):
        yield "GPU    none (no NVIDIA driver here)"
