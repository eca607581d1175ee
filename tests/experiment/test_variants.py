"""Each variant is its base with the one change that it names, and is generated like the eight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tinynet.caffeformat import schema, text
from tinynet.experiment.stages import STAGES
from tinynet.experiment.variants import VARIANTS, Variant, variant

BASES = {stage.name: stage for stage in STAGES}


def generated(folder: Path, option: str, name: str) -> tuple[str, Any]:
    """The layers of a train_val as text without its fillers, and the solver."""
    assert run("generate", option, name, "--out", folder).status == 0
    (net_file,) = folder.rglob("train_val.prototxt")
    net = text.read(net_file, schema.NetParameter)
    net.name = ""
    for layer in net.layer:
        layer.convolution_param.ClearField("weight_filler")
        layer.inner_product_param.ClearField("weight_filler")
    solver = text.read(net_file.with_name("solver.prototxt"), schema.SolverParameter)
    return text.format(net), solver


@pytest.mark.parametrize("found", VARIANTS, ids=lambda found: found.name)
def test_a_variant_is_generated_with_its_one_change(tmp_path: Path, found: Variant) -> None:
    base, base_solver = generated(tmp_path / "b", "--stage", str(BASES[found.base].number))
    made, solver = generated(tmp_path / "v", "--variant", found.name)
    mine, theirs = made.splitlines(), base.splitlines()
    added = [line.strip() for line in mine if line not in theirs]
    if "slope" in found.name:
        slope = f"negative_slope: 0.{found.name[-2]}"  # slope010 is 0.1
        assert added and all(slope in line for line in added)
        assert len(mine) == len(theirs) and added
    elif found.name == "variant_conv2_in_two":
        assert made.count('type: "Convolution"') == base.count('type: "Convolution"') + 1
        assert 'name: "conv2b"' in made and 'name: "conv2c"' not in made
    elif found.name == "variant_dropout_everywhere":
        # blocks 1 and 2; those behind block 3 and fc1 are in stage 7 already
        assert base.count('type: "Dropout"') == 2 and made.count('type: "Dropout"') == 4
        assert all(f'name: "drop{n}"' in made for n in (1, 2, 3, 4))
        assert solver.base_lr == pytest.approx(3 * base_solver.base_lr)
    else:
        assert made == base  # only how it learns differs
    learns = found.learning is not None and found.learning.lr_policy == "poly"
    assert (solver.lr_policy == "poly") == learns
    assert solver.max_iter == base_solver.max_iter


@pytest.mark.parametrize("name", ["msra", "modern"])
def test_msra_gives_every_layer_its_filler(tmp_path: Path, name: str) -> None:
    assert run("generate", "--variant", name, "--out", tmp_path).status == 0
    net = text.read(tmp_path / f"variant_{name}" / "train_val.prototxt", schema.NetParameter)
    fillers = [
        parameter.weight_filler.type
        for layer in net.layer
        for parameter in (layer.convolution_param, layer.inner_product_param)
        if parameter.HasField("weight_filler")
    ]
    assert fillers == ["msra"] * 7


@pytest.mark.parametrize("options", [(), ("--base-lr", "0.04"), ("--max-iter", "600")])
def test_the_warm_up_of_modern_reaches_base_lr_after_a_twelfth_of_the_training(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert run("generate", "--variant", "modern", "--out", tmp_path, *options).status == 0
    folder = tmp_path / "variant_modern"
    first = text.read(folder / "warm_up_solver.prototxt", schema.SolverParameter)
    then = text.read(folder / "solver.prototxt", schema.SolverParameter)
    assert first.max_iter == then.max_iter / 12  # 5 of 60 epochs

    def rate(iteration: int) -> float:  # Caffe's policy inv
        return first.base_lr * (1 + first.gamma * iteration) ** -first.power

    assert rate(first.max_iter - 1) == pytest.approx(then.base_lr, rel=1e-5)
    assert rate(0) == pytest.approx(then.base_lr / first.max_iter, rel=1e-5)
    # what it leaves is what Caffe's own tool is told to resume from
    state = f"--snapshot={first.snapshot_prefix}_iter_{first.max_iter}.solverstate"
    assert state in (folder / "solver.prototxt").read_text()
    same = [f for f in schema.fields_of(first) if getattr(first, f) == getattr(then, f)]
    rates = {"base_lr", "lr_policy", "gamma", "power", "max_iter"}
    assert rates == set(schema.fields_of(first)) - set(same)
    assert (
        run("generate", "--check", "--variant", "modern", "--out", tmp_path, *options).status == 0
    )


def test_settings_that_prototxt_cannot_hold_are_reported_by_generate(tmp_path: Path) -> None:
    done = run("generate", "--variant", "dropout_everywhere", "--out", tmp_path)
    solver = tmp_path / "variant_dropout_everywhere/solver.prototxt"
    command = f"tinynet train {solver} --max-norm 4"
    assert done.status == 0 and command in done.stderr
    assert f"# Train it: {command}" in solver.read_text().splitlines()


def test_variants_are_not_reported_as_drift_of_the_stages(tmp_path: Path) -> None:
    assert run("generate", "--out", tmp_path).status == 0
    assert run("generate", "--variant", "msra", "--out", tmp_path).status == 0
    assert run("generate", "--check", "--out", tmp_path).status == 0
    assert run("generate", "--check", "--variant", "msra", "--out", tmp_path).status == 0


def test_an_unknown_variant_is_refused_with_the_list_of_variants() -> None:
    assert variant("msra") is variant("variant_msra")
    done = run("generate", "--variant", "nothing")
    assert done.status == 2 and "conv2_in_two" in done.stderr
