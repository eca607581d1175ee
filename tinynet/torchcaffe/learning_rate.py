"""Learning rate policies: the rate as a function of base_lr and the iteration.

    fixed      base_lr
    step       base_lr · gamma ^ floor(iter / stepsize)
    exp        base_lr · gamma ^ iter
    inv        base_lr · (1 + gamma · iter) ^ −power
    multistep  base_lr · gamma ^ (number of stepvalues that iter has reached)
    poly       base_lr · (1 − iter / max_iter) ^ power
    sigmoid    base_lr / (1 + exp(−gamma · (iter − stepsize)))

Defined by ``SGDSolver::GetLearningRate`` (src/caffe/solvers/sgd_solver.cpp).  As in Caffe the
arithmetic is float32, but powers with an integer exponent are float64, so that printed rates agree.
"""

from __future__ import annotations

import numpy as np

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError, check

POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")


@np.errstate(all="ignore")  # Caffe gives a rate of infinity or NaN too
def learning_rate(
    param: schema.SolverParameter, iteration: int, current_step: int
) -> tuple[float, int]:
    """Return the rate at ``iteration`` and the new ``current_step`` (used by step and multistep).

    As in Caffe, multistep advances ``current_step`` by at most one per call, so call it once per
    iteration.  Raises CaffeError for an unknown policy or a parameter out of range.
    """
    policy = param.lr_policy
    f32 = np.float32
    base, gamma, power = f32(param.base_lr), f32(param.gamma), f32(param.power)
    if policy not in POLICIES:
        raise CaffeError(f"unknown lr_policy '{policy}'; known are {', '.join(POLICIES)}")
    if policy in ("step", "exp", "inv", "multistep", "sigmoid"):
        check(param.gamma >= 0, f"lr_policy {policy} needs gamma >= 0; got {param.gamma}")
    if policy in ("step", "sigmoid"):
        check(param.stepsize > 0, f"lr_policy {policy} needs stepsize > 0; got {param.stepsize}")

    if policy == "fixed":
        rate = base
    elif policy == "step":
        current_step = iteration // param.stepsize
        rate = f32(float(base) * float(gamma) ** current_step)
    elif policy == "exp":
        rate = f32(float(base) * float(gamma) ** iteration)
    elif policy == "inv":
        rate = base * np.power(f32(1) + gamma * f32(iteration), -power)
    elif policy == "multistep":
        if current_step < len(param.stepvalue) and iteration >= param.stepvalue[current_step]:
            current_step += 1
            glog.info(f"MultiStep Status: Iteration {iteration}, step = {current_step}")
        rate = f32(float(base) * float(gamma) ** current_step)
    elif policy == "poly":
        rate = base * np.power(f32(1) - f32(iteration) / f32(param.max_iter), power)
    else:
        exponent = -gamma * (f32(iteration) - f32(param.stepsize))
        rate = base * (f32(1) / (f32(1) + np.exp(exponent)))
    return float(rate), current_step
