"""Solvers: epochs become iterations, every test sees the validation set once, overrides count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.errors import UsageError
from tinynet.experiment import hyperparameters, solvers
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.hyperparameters import MEMBERS, Hyperparameters
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import member, stage

STEPPED = Hyperparameters(0.01, 0.02, 0.0005, 60, "multistep", 0.1, (40, 54))
PATHS = StagePaths(Path("prototxt"), "stage7_dropout2")


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix the settings of stages 7 and 8, so that new measurements do not change the test."""
    for number in (7, 8):
        monkeypatch.setitem(hyperparameters.HYPERPARAMETERS, number, STEPPED)


def solver_of(data: DataSet | None = None, **changes: Any) -> Any:
    return solvers.solver(stage(7), None, data or DataSet(), PATHS, Overrides(**changes))


def test_epochs_become_iterations_of_whole_batches() -> None:
    solver = solver_of()
    assert solver.test_interval == 781  # 100,000 / 128 = 781.25
    assert solver.max_iter == 60 * 781
    assert list(solver.stepvalue) == [40 * 781, 54 * 781]
    assert list(solver.test_iter) == [100]  # of 100 images each
    assert solver.snapshot == 5 * 781
    assert not solver.HasField("solver_mode")


def test_another_batch_size_keeps_the_epochs() -> None:
    solver = solver_of(batch_size=250)
    assert (solver.test_interval, solver.max_iter) == (400, 60 * 400)


def test_passes_of_an_iteration_keep_the_epochs_too() -> None:
    """Four passes of 32 images are an update of 128, which takes as many iterations."""
    four = solver_of(batch_size=32, solver={"iter_size": 4})
    assert (four.max_iter, list(four.stepvalue)) == (60 * 781, [40 * 781, 54 * 781])


def test_another_length_keeps_the_shape_of_the_schedule() -> None:
    assert list(solver_of(epochs=6).stepvalue) == [4 * 781, round(5.4 * 781)]
    solver = solver_of(solver={"max_iter": 600})
    assert list(solver.stepvalue) == [400, 540]
    assert solver.max_iter == 600


@given(st.integers(1, 30_000))
def test_the_test_batches_are_exactly_the_validation_set(val_images: int) -> None:
    batch = solvers.test_batch(val_images)
    assert 1 <= batch <= 100
    assert val_images % batch == 0
    assert not [b for b in range(batch + 1, 101) if val_images % b == 0]
    solver = solver_of(DataSet(val_images=val_images))
    assert solver.test_iter[0] * batch == val_images


@given(st.integers(1, 200_000), st.integers(1, 100_000))
def test_intervals_lie_within_the_run_and_the_last_test_is_at_its_end_where_it_can_be(
    train_images: int, max_iter: int
) -> None:
    solver = solver_of(DataSet(train_images=train_images), solver={"max_iter": max_iter})
    assert 1 <= solver.test_interval <= max_iter
    assert 1 <= solver.snapshot <= max_iter
    assert solver.display >= 1
    assert all(1 <= value <= max_iter for value in solver.stepvalue)
    epoch = max(1, round(train_images / 128))
    if max_iter % epoch == 0 or max_iter < epoch:
        assert max_iter % solver.test_interval == 0


def test_members_differ_in_seed_learning_rate_and_weight_decay_only() -> None:
    paths = StagePaths(Path("prototxt"), "stage8_ensemble", 1)
    plain = solvers.solver(stage(8), None, DataSet(), paths, Overrides())
    for one in MEMBERS:
        solver = solvers.solver(stage(8), one, DataSet(), paths, Overrides())
        assert solver.base_lr == pytest.approx(0.02 * one.base_lr_factor)
        assert solver.weight_decay == pytest.approx(0.0005 * one.weight_decay_factor)
        assert solver.random_seed == one.random_seed
        for field in ("base_lr", "weight_decay", "random_seed"):
            setattr(solver, field, getattr(plain, field))
        assert solver == plain


def test_overrides_take_precedence_even_over_a_members_variation() -> None:
    changed = Overrides(solver={"base_lr": 0.5, "test_iter": (3,)})
    paths = StagePaths(Path("prototxt"), "stage8_ensemble", 4)
    solver = solvers.solver(stage(8), member(4), DataSet(), paths, changed)
    assert (solver.base_lr, list(solver.test_iter)) == (0.5, [3])


@pytest.mark.parametrize("first", [1, 7])
def test_member_seeds_count_up_from_the_given_seed(first: int) -> None:
    paths = StagePaths(Path("prototxt"), "stage8_ensemble", 1)
    asked = Overrides(solver={"random_seed": first, "base_lr": 0.01, "weight_decay": 0.0})
    made = [solvers.solver(stage(8), one, DataSet(), paths, asked) for one in MEMBERS]
    assert [s.random_seed - first for s in made] == [one.random_seed - 1 for one in MEMBERS]
    assert len({s.random_seed for s in made}) == len(MEMBERS)


def test_member_seeds_beyond_caffes_range_are_refused_and_caffe_may_draw_them() -> None:
    paths = StagePaths(Path("prototxt"), "stage8_ensemble", 11)
    with pytest.raises(UsageError, match="--seed 4294967290: the ensemble's members count"):
        asked = Overrides(solver={"random_seed": 2**32 - 6})
        solvers.solver(stage(8), member(11), DataSet(), paths, asked)
    drawn = Overrides(solver={"random_seed": -1})
    assert solvers.solver(stage(8), member(11), DataSet(), paths, drawn).random_seed == -1


def test_a_policy_has_exactly_the_fields_that_caffe_reads_for_it() -> None:
    solver = solver_of(solver={"lr_policy": "fixed"})
    assert not solver.HasField("gamma")
    assert not solver.stepvalue
    solver = solver_of(solver={"lr_policy": "step", "stepsize": 1000})
    assert (solver.stepsize, list(solver.stepvalue)) == (1000, [])
    assert solver.gamma == pytest.approx(0.1)  # the stage's own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_policy": "step"}, "lr_policy step needs --stepsize"),
        ({"lr_policy": "poly"}, "lr_policy poly needs --power"),
        ({"lr_policy": "fixed", "gamma": 0.5}, "--gamma has no meaning under lr_policy fixed"),
        ({"power": 1.0}, "--power has no meaning under lr_policy multistep"),
        ({"lr_policy": "cosine"}, "no lr_policy 'cosine'; Caffe has fixed, step, exp"),
    ],
)
def test_a_policy_with_missing_or_foreign_fields_is_wrong_use(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        solver_of(solver=changes)


def test_a_length_given_twice_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="--epochs and --max-iter"):
        solver_of(epochs=3, solver={"max_iter": 10})


def test_a_fixed_stage_has_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = replace(STEPPED, lr_policy="fixed", drops=())
    monkeypatch.setitem(hyperparameters.HYPERPARAMETERS, 7, fixed)
    solver = solver_of()
    assert solver.lr_policy == "fixed"
    assert not solver.HasField("gamma")
