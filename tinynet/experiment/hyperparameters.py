"""How each stage learns: one plain table, and the small variations of the ensemble's members.

The paper tuned the learning rate and the weight decay per stage and gives neither; momentum 0.9 and
one gaussian standard deviation for every layer are its own.  Schedules count epochs (passes over
the training set), which the generator turns into iterations.  The measurements behind the values
stand in ``data/results/hyperparameters.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

MOMENTUM = 0.9
BATCH_SIZE = 128
RANDOM_SEED = 1
LARGEST_SEED = 2**32 - 1  # Caffe's generator, mt19937, is seeded by 32 bits
LARGEST_COUNT = 2**31 - 1  # Caffe counts in int32: iterations, intervals, images of a batch
# (pixel − mean) · 1/64 has a standard deviation of about 1: with whole pixels no one std serves
# every stage, since stage 5 diverges at one that leaves stages 6 and 7 on the plateau
INPUT_SCALE = 1 / 64


@dataclass(frozen=True)
class Hyperparameters:
    """One stage's training.

    ``std``: of the gaussian that every weight starts from, where ``filler`` is Caffe's "gaussian";
    its "msra" takes each layer's std from the fan-in.  ``base_lr``, ``weight_decay``,
    ``lr_policy``, ``gamma``, ``power``: the solver's.  ``drops``: the epochs after which the
    learning rate is multiplied by ``gamma`` (lr_policy "multistep").  ``epochs``: the length.
    ``warm_up``: the first epochs, in which the rate rises in a straight line to ``base_lr``.
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
    """One of the ensemble's models: a little more or less of both, and a seed of its own."""

    number: int
    base_lr_factor: float
    weight_decay_factor: float
    random_seed: int


MEMBERS: tuple[Member, ...] = (
    # number, factor of base_lr, factor of weight_decay, random_seed
    # the first three are stage 7 itself from seeds 1 to 3, so that its runs serve here too
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
