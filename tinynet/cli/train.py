"""``tinynet train``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH, RenamedOption
from tinynet.cli.messages import say
from tinynet.engine.precision import PRECISIONS
from tinynet.errors import UsageError

if TYPE_CHECKING:
    from tinynet.run.paths import RunPaths
    from tinynet.run.request import TrainingRequest


@click.command(
    epilog=shared_options.example("tinynet train --stage 1 --engine torch --max-iter 2000"),
)
@click.argument("solver", required=False, type=PATH)
@click.option("--stage", type=int, help="Train stage N (1 to 8).")
@click.option("--member", type=int, help="Which member of stage 8 (1 to 11).")
@shared_options.prototxt_root
@shared_options.engine()
@shared_options.caffe_python
@shared_options.gpu("Train on")
@click.option(
    "--gpus",
    type=shared_options.GpuList(),
    metavar="N|N,N|all",
    help="Train on N GPUs together, on those numbered 0,1, or on all: each has the prototxt's "
    "batch, and their gradients are averaged.",
)
@click.option(
    "--solvers",
    type=click.IntRange(min=1),
    help="Train with N processes together; on CPUs, where no GPU is.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Arithmetic of the torch engine; default float32, Caffe's own. tf32: a GPU's faster "
    "products. bf16: activations and products in bfloat16, weights and history in float32.",
)
@click.option(
    "--max-norm",
    type=shared_options.FiniteRange(0, min_open=True),
    help="After every update, scale each unit's incoming weights to a norm of at most X.",
)
@shared_options.cpu("Train on")
@click.option("--runs", type=PATH, default=Path("runs"), metavar="DIR", help="Where runs lie.")
@click.option(
    "--name",
    type=shared_options.PathComponent(),
    help="Name of the run; default seedN, or memberNN.",
)
@click.option(
    "--seed",
    cls=RenamedOption,
    former=["--random-seed"],
    type=shared_options.SEED,
    help="Random seed; default the solver's, or 1.",
)
@click.option(
    "--max-iter", type=shared_options.COUNT, help="Iterations in all; default the solver's."
)
@click.option(
    "--snapshot",
    type=shared_options.COUNT_OR_NONE,
    help="Snapshot every N iterations; default the solver's.",
)
@shared_options.assignments
@click.option(
    "--resume",
    is_flag=True,
    help="Resume an existing run with its own settings; fail if there is none.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="FILE",
    help="Start from a .caffemodel's weights (may be given again).",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    help="Keep the newest N snapshots and the best by validation accuracy (0: all); default 3.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def train(as_json: bool, **given: Any) -> None:
    """Train a stage, an ensemble member, or any solver.prototxt.

    The run lies in RUNS/STAGE/NAME.  One that was begun resumes from its newest snapshot, whichever
    engine wrote it; one that is finished says so.  SOLVER may also be a folder with a
    solver.prototxt, or a run directory, which resumes as it was begun.  Ctrl-C stops after the
    iteration and leaves a snapshot.

    Under torchrun, or srun with several tasks, each process is one of that many solvers: rank 0
    has the run, the others compute for it.
    """
    from tinynet import launcher
    from tinynet.run import driver, launched

    request, process = request_of(**given), launcher.this_process()
    if process is not None and process.rank:
        launched.work(request, process)
        return
    result = driver.train(request, say)
    click.echo(json.dumps(result) if as_json else _sentence(result))


def request_of(
    solver: Path | None,
    stage: int | None,
    member: int | None,
    prototxt: Path,
    runs: Path,
    name: str | None,
    seed: int | None,
    max_iter: int | None,
    snapshot: int | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> TrainingRequest:
    """What the parameters of the command ask for.  Raises UsageError if they contradict."""
    from tinynet.run.request import TrainingRequest

    shared_options.at_most_one(**{name: options[name] for name in ("gpu", "gpus", "cpu")})
    overrides = shared_options.overrides(
        assignments, max_iter=max_iter, snapshot=snapshot, random_seed=seed
    )
    target, paths = _target(solver, stage, member, prototxt, runs, name, overrides)
    options["resume"] = options["resume"] or target == paths.solver
    return TrainingRequest(
        solver=target,
        paths=paths,
        overrides=overrides,
        command=["tinynet", *sys.argv[1:]],
        **options,
    )


def _target(
    solver: Path | None,
    stage: int | None,
    member: int | None,
    root: Path,
    runs: Path,
    name: str | None,
    overrides: dict[str, str],
) -> tuple[Path, RunPaths]:
    """The solver file and the run directory that the arguments name."""
    from tinynet.experiment.paths import StagePaths, member_name
    from tinynet.experiment.stages import stage as stage_by_number
    from tinynet.run.paths import RunPaths, stage_of

    if (solver is None) == (stage is None):
        raise UsageError("name either --stage N or a SOLVER.prototxt")
    if stage is None:
        assert solver is not None
        if member is not None:
            raise UsageError("--member goes with --stage 8")
        if solver.is_dir():
            solver = _solver_in(RunPaths(solver))
        run = RunPaths(solver.parent)
        if run.run_json.exists():
            _seed(solver, {})  # which refuses a net
            if name is not None:
                raise UsageError(f"--name {name}: {run.root} is a run, which resumes where it is")
            return run.solver, run
        name = name or f"seed{_seed(solver, overrides)}"
        return solver, RunPaths.of(runs, stage_of(solver), name)
    wanted = stage_by_number(stage)
    wanted.require_member(member)
    files = StagePaths(root, wanted.name, member)
    if member is not None:
        return files.solver, RunPaths.of(runs, wanted.name, name or member_name(member))
    seed = _seed(files.solver, overrides)
    return files.solver, RunPaths.of(runs, wanted.name, name or f"seed{seed}")


def _seed(solver: Path, overrides: dict[str, str]) -> int:
    """The seed that names the run: given, or in the solver, or 1."""
    from tinynet.run.solver_files import read_solver

    if "random_seed" in overrides:
        if not overrides["random_seed"].isdecimal():
            raise UsageError(
                f"random_seed={overrides['random_seed']}: a seed is a number from 0 on"
            )
        return int(overrides["random_seed"])
    if not solver.exists():
        return 1  # training will say that there is no such file
    seed = int(read_solver(solver).random_seed)
    return seed if seed >= 0 else 1


def _solver_in(folder: RunPaths) -> Path:
    """The solver file of a folder, be it a run's or a stage's: both have the same name."""
    if not folder.run_json.exists() and not folder.solver.exists():
        raise UsageError(f"{folder.root}: holds neither a run (run.json) nor a solver.prototxt")
    if not folder.run_json.exists() and folder.log.exists():
        raise UsageError(
            f"{folder.root}: holds a run without its run.json, which cannot resume; 'tinynet train "
            f"{shlex.quote(str(folder.solver))}' trains it anew"
        )
    return folder.solver


def _sentence(result: dict[str, Any]) -> str:
    parts = [f"{result['run']}: {result['state']} at iteration {result['iteration']}"]
    if "train_loss" in result:
        parts.append(f"train loss {result['train_loss']:.4g}")
    if "val_loss" in result:
        parts.append(f"val loss {result['val_loss']:.4g}")
    if "val_accuracy" in result:
        parts.append(f"val accuracy {100 * result['val_accuracy']:.2f} %")
    if "val_accuracy_top5" in result:
        parts.append(f"top-5 {100 * result['val_accuracy_top5']:.2f} %")
    if "images_per_second" in result:
        parts.append(f"{result['images_per_second']:.0f} images/s")
    return ", ".join(parts)
