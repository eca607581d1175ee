"""The hyperparameters of each stage, and their small variations for the ensemble's members.

The paper tuned the learning rate and the weight decay per stage but states neither; it does state
momentum 0.9, and one gaussian standard deviation for all layers.  Schedules are in epochs (passes
over the training set), which the generator turns into iterations.  The measurements behind the
values are in ``data/results/hyperparameters.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

MOMENTUM = 0.9
BATCH_SIZE = 128
RANDOM_SEED = 1
LARGEST_SEED = 2**32 - 1  # Caffe's generator, mt19937, is seeded by 32 bits
LARGEST_COUNT = 2**31 - 1  # Caffe counts in int32: iterations, intervals, images of a batch
# (pixel − mean) / 64 has a standard deviation of about 1; with unscaled pixels no single std of the
# weights works for every stage: one that leaves stages 6 and 7 on the plateau makes stage 5 diverge
INPUT_SCALE = 1 / 64


@dataclass(frozen=True)
class Hyperparameters:
    """How one stage is trained.

    ``std``: standard deviation of the initial weights, if ``filler`` is Caffe's "gaussian"; with
    "msra" it follows from each layer's fan-in.  ``base_lr``, ``weight_decay``, ``lr_policy``,
    ``gamma``, ``power``: as in the solver.  ``drops``: the epochs after which the learning rate is
    multiplied by ``gamma`` (lr_policy "multistep").  ``epochs``: the length.  ``warm_up``: during
    how many epochs at the start the rate rises linearly to ``base_lr``.
    """

    std: float
    base_lr: float
    weight_decay: float
    epochs: int
    lr_policy: str = "fixed"
    gamma: float = 0.1
    drops: tuple[int, ...] = ()
    filler: str = "gaussian"
    power: float = 0.0
    warm_up: int = 0


def _multistep(
    std: float, base_lr: float, weight_decay: float, epochs: int, *drops: int
) -> Hyperparameters:
    return Hyperparameters(std, base_lr, weight_decay, epochs, "multistep", 0.1, drops)


HYPERPARAMETERS: dict[int, Hyperparameters] = {
    # stage:       std   base_lr  decay  epochs  learning rate / 10 after epochs
    1: _multistep(0.03, 0.01, 0.0005, 20, 14, 18),
    2: _multistep(0.03, 0.01, 0.0005, 30, 20, 26),
    3: _multistep(0.03, 0.01, 0.0005, 40, 28, 36),
    4: _multistep(0.03, 0.01, 0.0005, 40, 28, 36),
    5: _multistep(0.03, 0.01, 0.0005, 50, 34, 44),
    6: _multistep(0.03, 0.01, 0.0005, 50, 34, 44),
    7: _multistep(0.03, 0.01, 0.0005, 60, 40, 54),
    8: _multistep(0.03, 0.01, 0.0005, 60, 40, 54),
}


@dataclass(frozen=True)
class Member:
    """A model of the ensemble: factors of learning rate and weight decay, and its own seed."""

    number: int
    base_lr_factor: float
    weight_decay_factor: float
    random_seed: int


MEMBERS: tuple[Member, ...] = (
    # number, factor of base_lr, factor of weight_decay, random_seed
    # the first three are stage 7 itself with seeds 1 to 3, so that its runs can be used here
    Member(1, 1.0, 1.0, 1),
    Member(2, 1.0, 1.0, 2),
    Member(3, 1.0, 1.0, 3),
    Member(4, 0.8, 1.0, 804),
    Member(5, 0.8, 0.8, 805),
    Member(6, 0.8, 1.2, 806),
    Member(7, 1.2, 1.0, 807),
    Member(8, 1.2, 0.8, 808),
    Member(9, 1.2, 1.2, 809),
    Member(10, 0.9, 1.1, 810),
    Member(11, 1.1, 0.9, 811),
)
