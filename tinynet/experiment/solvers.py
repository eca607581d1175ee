"""The solver of a stage as Caffe's SolverParameter: epochs become iterations here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinynet.caffeformat import schema
from tinynet.errors import UsageError
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.hyperparameters import (
    BATCH_SIZE,
    LARGEST_COUNT,
    LARGEST_SEED,
    MOMENTUM,
    RANDOM_SEED,
    Member,
)
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solver_values import POLICY_FIELDS, RATE_FIELDS, faults
from tinynet.experiment.stages import Stage

TEST_BATCH_LIMIT = 100
SNAPSHOT_EPOCHS = 5
DISPLAYS = (100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True)
class Overrides:
    """What a user changes: None, or absent from ``solver``, leaves the stage's own value.

    ``solver`` maps fields of SolverParameter to values; it has the last word.  Only a random_seed
    stands in for the stage's own, from which the ensemble's members count on: of one seed for all
    some would be the same net.  ``found``: values that a search found; they too stand in for the
    stage's own, so that the members vary around them.
    """

    batch_size: int | None = None
    epochs: int | None = None
    std: float | None = None
    solver: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, float] = field(default_factory=dict)
    solvers: int = 1  # that share the images of an iteration among them


def batch_size(overrides: Overrides) -> int:
    """Images per training iteration."""
    return overrides.batch_size or BATCH_SIZE


def share_of_batch(overrides: Overrides) -> int:
    """Images per training iteration of each solver, which is what the net's data layer says.

    Raises UsageError where an iteration's cannot be divided among them.
    """
    whole = batch_size(overrides)
    if whole % overrides.solvers:
        raise UsageError(
            f"{whole} images an iteration cannot be shared by {overrides.solvers} solvers; take "
            "another number, or another --batch-size"
        )
    return whole // overrides.solvers


def test_batch(val_images: int) -> int:
    """The largest batch up to 100 that divides the validation set.

    Caffe's TEST cursor never rewinds: only when test_iter x batch is the validation set does every
    test see the same images.
    """
    return max(b for b in range(1, TEST_BATCH_LIMIT + 1) if val_images % b == 0)


def solver(
    stage: Stage, member: Member | None, data: DataSet, paths: StagePaths, overrides: Overrides
) -> schema.SolverParameter:
    """The SolverParameter of a stage, or of one member of the ensemble.

    There is no solver_mode: Caffe's default is the GPU, and whoever runs the solver chooses.
    Raises UsageError if overrides contradict each other or the learning rate policy.
    """
    found = dict(overrides.found)
    base_lr = found.pop("base_lr", stage.hyperparameters.base_lr)
    weight_decay = found.pop("weight_decay", stage.hyperparameters.weight_decay)
    chosen = {**found, **overrides.solver}
    if overrides.epochs is not None and "max_iter" in chosen:
        raise UsageError("--epochs and --max-iter both give the length of training: choose one")
    if member and "random_seed" in chosen:
        chosen["random_seed"] = _members_seed(member, chosen["random_seed"])
    settings = stage.hyperparameters
    epoch = max(1, round(data.train_images / batch_size(overrides)))
    epochs = overrides.epochs or settings.epochs
    max_iter = chosen.get("max_iter", epochs * epoch)
    if max_iter > LARGEST_COUNT:
        raise UsageError(
            f"{epochs:,} epochs of {epoch:,} iterations: Caffe counts to {LARGEST_COUNT:,}; take "
            "fewer"
        )
    every = _test_interval(epoch, max_iter)

    message = schema.SolverParameter(
        net=paths.train_val.as_posix(),
        test_iter=[data.val_images // test_batch(data.val_images)],
        test_interval=every,
        base_lr=base_lr * (member.base_lr_factor if member else 1),
        lr_policy=settings.lr_policy,
        momentum=MOMENTUM,
        weight_decay=weight_decay * (member.weight_decay_factor if member else 1),
        max_iter=max_iter,
        display=next(d for d in DISPLAYS if d <= max(1, epoch // 5)),
        snapshot=min(max_iter, SNAPSHOT_EPOCHS * every),
        snapshot_prefix=paths.snapshot_prefix.as_posix(),
        random_seed=member.random_seed if member else RANDOM_SEED,
    )
    if settings.lr_policy == "poly":
        message.power = settings.power
    elif settings.lr_policy != "fixed":
        # a run of another length keeps the shape of its schedule
        per_epoch = max_iter / settings.epochs
        message.gamma = settings.gamma
        message.stepvalue.extend(max(1, round(drop * per_epoch)) for drop in settings.drops)
    _apply(message, chosen)
    return message


def warm_up(stage: Stage, main: schema.SolverParameter) -> schema.SolverParameter | None:
    """The SolverParameter of a stage's warm-up before ``main``; None where it has none.

    Caffe has no lr_policy that rises and then falls, so a warm-up is a solver of its own, from
    whose snapshot (with the momentum in its history) ``main`` resumes: at base_lr / W · (1 + iter),
    which is policy inv with gamma 1 and power -1, its W iterations rise to main's base_lr.
    """
    settings = stage.hyperparameters
    if not settings.warm_up:
        return None
    iterations = max(1, round(settings.warm_up / settings.epochs * main.max_iter))
    if iterations >= main.max_iter:
        return None  # too short to have a schedule
    message = schema.SolverParameter()
    message.CopyFrom(main)
    schema.clear(message, RATE_FIELDS)
    message.base_lr = main.base_lr / iterations
    message.lr_policy = "inv"
    message.gamma, message.power = 1.0, -1.0
    message.max_iter = iterations
    return message


def _members_seed(member: Member, first: int) -> int:
    """The seed of one of the ensemble's members where that of the first is ``first``."""
    if first < 0:
        return first  # Caffe draws one, for each another
    seed = first + member.random_seed - RANDOM_SEED
    if seed > LARGEST_SEED:
        raise UsageError(
            f"--seed {first}: the ensemble's members count on from it, and beyond "
            f"{LARGEST_SEED}; give a smaller one"
        )
    return seed


def _test_interval(epoch: int, max_iter: int) -> int:
    """One epoch, or near it a divisor of max_iter, since Caffe's last test falls on a multiple."""
    near = [n for n in range(max(1, epoch // 2), 2 * epoch + 1) if max_iter % n == 0]
    if near:
        return min(near, key=lambda n: abs(n - epoch))
    return min(epoch, max_iter)


def _apply(message: schema.SolverParameter, chosen: Mapping[str, Any]) -> None:
    policy = chosen.get("lr_policy", message.lr_policy)
    if policy not in POLICY_FIELDS:
        raise UsageError(f"no lr_policy '{policy}'; Caffe has {', '.join(POLICY_FIELDS)}")
    used = POLICY_FIELDS[policy]
    of_policies = {name for names in POLICY_FIELDS.values() for name in names}
    unused = sorted(of_policies - set(used))
    for name in unused:
        if name in chosen:
            raise UsageError(f"--{name} has no meaning under lr_policy {policy}")
    schema.clear(message, unused)
    for name, value in chosen.items():
        schema.assign(message, name, value)
    for name in used:
        if not schema.is_set(message, name):
            raise UsageError(f"lr_policy {policy} needs --{name}")
    for what in faults(message, chosen):
        raise UsageError(what)
