"""``worker train``: steps a solver to its end, or to the iteration at which it is told to stop.

The parent has read the solver's prototxt, which pycaffe does not show, and passes on what matters.
"""

import argparse
import time

from tinynet.worker import channel, engine, glog

STOPPED = 75
_EVENT_SECONDS = 0.2  # iteration events are for a progress line that a person reads


class _Stop(Exception):
    """Raised inside ``solver.step`` by a callback, to leave it between two iterations."""


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.worker train")
    parser.add_argument("solver", help="prototxt, as pycaffe's get_solver takes it")
    engine.add_arguments(parser)
    parser.add_argument("--net-name", default="")
    parser.add_argument("--max-iter", type=int, required=True)
    parser.add_argument("--display", type=int, default=0)
    parser.add_argument("--average-loss", type=int, default=1)
    parser.add_argument("--test-interval", type=int, default=0)
    parser.add_argument("--test-iter", type=int, action="append", default=[])
    parser.add_argument("--restore", metavar="SOLVERSTATE")
    parser.add_argument("--weights", action="append", default=[], metavar="CAFFEMODEL")
    return parser.parse_args(argv)


def main(argv):
    """Train; return 0 at max_iter, 75 when stopped before (a snapshot is written then)."""
    options = parse(argv)
    control = channel.Control()
    caffe = engine.load(options)
    solver = caffe.get_solver(options.solver)
    for weights in options.weights:
        glog.info("Finetuning from " + weights)
        solver.net.copy_from(weights)
    # solver.step() prints no such line, and Caffe's log tools take their start time from it
    glog.info("Solving " + options.net_name)
    if options.restore:
        glog.info("Restoring previous solver status from " + options.restore)
        solver.restore(options.restore)
    first = solver.iter
    channel.emit("solving", iteration=first)
    if not _iterate(solver, options, control):
        # nothing was learned since the snapshot (or the start) that this process began with
        if solver.iter > first:
            solver.snapshot()
        glog.info("Optimization stopped early.")
        channel.emit("stopped", iteration=solver.iter)
        return STOPPED
    # at max_iter no iteration is left: this is Caffe's own last snapshot, display and test
    solver.solve()
    if options.test_interval and solver.iter % options.test_interval:
        for index in range(len(solver.test_nets)):
            _test(solver, index, options.test_iter[index])
    channel.emit("done", iteration=solver.iter)
    return 0


def _iterate(solver, options, control):
    """Step to max_iter; False if a stop was asked for before.

    One iteration a call.  Each call of ``step`` starts ``average_loss`` anew, though, so with an
    average over several iterations the calls must be longer: one call to the end where the
    solver takes callbacks, which then watch for the stop, and otherwise one call up to the
    next display, so that what is displayed averages the iterations since the last one.
    """
    state = {"time": 0.0}

    def watch():
        words = control.poll()
        if "stop" in words:
            raise _Stop()
        if "snapshot" in words:
            solver.snapshot()
        now = time.time()
        if now - state["time"] >= _EVENT_SECONDS:
            state["time"] = now
            channel.emit("iteration", iteration=solver.iter)

    whole = options.average_loss > 1 and hasattr(solver, "add_callback")
    if whole:
        solver.add_callback(watch, lambda: None)
    try:
        while solver.iter < options.max_iter:
            watch()
            left = options.max_iter - solver.iter
            if whole:
                solver.step(left)
            elif options.average_loss > 1 and options.display:
                to_display = -solver.iter % options.display
                solver.step(min(left, to_display + 1))
            else:
                solver.step(1)
    except _Stop:
        return False
    return True


def _test(solver, index, iterations):
    """Test as the solver does, and log it in its words: mean of every output over test_iter."""
    net = solver.test_nets[index]
    net.share_with(solver.net)
    glog.info("Iteration %d, Testing net (#%d)" % (solver.iter, index), "train.py:2")
    sums = {}  # type: dict
    for _ in range(iterations):
        net.forward()
        for name in net.outputs:
            values = net.blobs[name].data.flatten().astype("float64")
            sums[name] = sums[name] + values if name in sums else values
    weights = net.blob_loss_weights
    number = 0
    for name in net.outputs:
        for total in sums.get(name, []):
            mean = total / iterations
            text = "    Test net output #%d: %s = %g" % (number, name, mean)
            if weights[name]:
                text += " (* %g = %g loss)" % (weights[name], weights[name] * mean)
            glog.info(text, "train.py:3")
            number += 1
