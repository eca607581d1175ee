"""Makes Caffe's SolverParameter for a stage, and turns its epochs into iterations."""

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
    """The user's changes; None, or no entry in ``solver``, keeps the stage's own value.

    ``solver`` maps fields of SolverParameter to values, which take precedence.  Only random_seed
    replaces the stage's own value, from which the ensemble's members count upwards: with one seed
    for all, some members would be the same net.  ``searched``: values that a search found; they too
    replace the stage's own values, so that the members vary around them.
    """

    batch_size: int | None = None
    epochs: int | None = None
    std: float | None = None
    solver: Mapping[str, Any] = field(default_factory=dict)
    searched: Mapping[str, float] = field(default_factory=dict)
    solvers: int = 1  # how many share the images of an iteration


def batch_size(overrides: Overrides) -> int:
    """Images per training iteration."""
    return overrides.batch_size or BATCH_SIZE


def share_of_batch(overrides: Overrides) -> int:
    """Images per training iteration of each solver: the batch_size of the net's data layer.

    Raises UsageError if the batch cannot be divided equally among the solvers.
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

    Caffe's TEST cursor never rewinds: every test sees the same images only if test_iter x batch is
    the size of the validation set.
    """
    return max(b for b in range(1, TEST_BATCH_LIMIT + 1) if val_images % b == 0)


def solver(
    stage: Stage, member: Member | None, data: DataSet, paths: StagePaths, overrides: Overrides
) -> schema.SolverParameter:
    """The SolverParameter of a stage, or of one member of the ensemble.

    It has no solver_mode: the device is chosen when the solver runs.  Raises UsageError if
    overrides contradict each other or the learning rate policy.
    """
    searched = dict(overrides.searched)
    base_lr = searched.pop("base_lr", stage.hyperparameters.base_lr)
    weight_decay = searched.pop("weight_decay", stage.hyperparameters.weight_decay)
    chosen = {**searched, **overrides.solver}
    if overrides.epochs is not None and "max_iter" in chosen:
        raise UsageError("--epochs and --max-iter both give the length of training: choose one")
    if member and "random_seed" in chosen:
        chosen["random_seed"] = _member_seed(member, chosen["random_seed"])
    settings = stage.hyperparameters
    images = batch_size(overrides) * max(1, chosen.get("iter_size", 1))  # of one update
    epoch = max(1, round(data.train_images / images))
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
        # a run of another length keeps the shape of the schedule
        per_epoch = max_iter / settings.epochs
        message.gamma = settings.gamma
        message.stepvalue.extend(max(1, round(drop * per_epoch)) for drop in settings.drops)
    _apply(message, chosen)
    return message


def warm_up(stage: Stage, main: schema.SolverParameter) -> schema.SolverParameter | None:
    """The SolverParameter of a stage's warm-up before ``main``; None if it has none.

    Caffe has no lr_policy that rises and then falls, so a warm-up is a solver of its own; ``main``
    resumes from its snapshot, which has the momentum in its history.  Over its W iterations the
    rate is base_lr / W · (1 + iter), policy inv with gamma 1 and power -1, and rises to main's
    base_lr.
    """
    settings = stage.hyperparameters
    if not settings.warm_up:
        return None
    iterations = max(1, round(settings.warm_up / settings.epochs * main.max_iter))
    if iterations >= main.max_iter:
        return None  # too short to have a schedule
    message = schema.SolverParameter()
    message.CopyFrom(main)
    # main resumes from its last snapshot, whatever main itself writes at its end
    schema.clear(message, [*RATE_FIELDS, "snapshot_after_train"])
    message.base_lr = main.base_lr / iterations
    message.lr_policy = "inv"
    message.gamma, message.power = 1.0, -1.0
    message.max_iter = iterations
    return message


def _member_seed(member: Member, first: int) -> int:
    """The seed of a member of the ensemble if that of the first one is ``first``."""
    if first < 0:
        return first  # Caffe draws a different one for each
    seed = first + member.random_seed - RANDOM_SEED
    if seed > LARGEST_SEED:
        raise UsageError(
            f"--seed {first}: the ensemble's members count on from it, and beyond "
            f"{LARGEST_SEED}; give a smaller one"
        )
    return seed


def _test_interval(epoch: int, max_iter: int) -> int:
    """One epoch, or the nearest divisor of max_iter, so that a test falls on the last iteration.

    Without a divisor between half an epoch and two, one epoch, or max_iter if that is less.
    """
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
