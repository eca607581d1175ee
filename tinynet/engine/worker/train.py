"""``worker train``: steps a solver to its end, or until it is told to stop.

The parent has read the solver's prototxt, which pycaffe does not expose, and passes the fields that
are needed here as options.
"""

import argparse
import math
import time

from tinynet.engine.worker import channel, engine, max_norm, together

STOPPED = 75
_CHECK_INTERVAL = 100  # iterations between checks for divergence, if nothing is displayed
_EVENT_SECONDS = 0.2  # least time between two iteration events, which are for a progress line


class _Stop(Exception):
    """Raised by a callback inside ``solver.step``, to leave it between two iterations."""


class _Diverged(Exception):
    """Loss or weights are no longer finite, or the loss has reached its bound."""


def parse(argv):
    parser = argparse.ArgumentParser(prog="tinynet.engine.worker train")
    parser.add_argument("solver", nargs="?", help="prototxt, as pycaffe's get_solver takes it")
    engine.add_arguments(parser)
    together.add_arguments(parser)
    parser.add_argument("--net-name", default="")
    parser.add_argument("--max-iter", type=int, default=0)
    parser.add_argument("--display", type=int, default=0)
    parser.add_argument("--average-loss", type=int, default=1)
    parser.add_argument("--test-interval", type=int, default=0)
    parser.add_argument("--test-iter", type=int, action="append", default=[])
    parser.add_argument("--snapshot", type=int, default=0, help="interval, to report them")
    parser.add_argument("--restore", metavar="SOLVERSTATE")
    parser.add_argument("--exactly", action="store_true", help="restore the complete state too")
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="NET:LAYER:BATCHES",
        help="batches that a Data layer has given before the snapshot; net 0 is the training net, "
        "net K the test net K - 1",
    )
    parser.add_argument("--max-norm", type=float, metavar="C", help="of each unit's weights")
    parser.add_argument("--divergence-limit", type=float, metavar="LOSS")
    parser.add_argument("--weights", action="append", default=[], metavar="CAFFEMODEL")
    return parser.parse_args(argv)


def main(argv):
    """Train; return 0 at max_iter, 75 if stopped before, after writing a snapshot.

    With several solvers all ranks take the same steps; only rank 0 tests, displays, saves, and
    checks loss and weights, which are the same on all.
    """
    options = parse(argv)
    if not together.take_part(options):
        return options.nothing
    control = channel.Control()
    caffe = engine.load(options)
    extensions = getattr(caffe, "extensions", None)
    solver = caffe.get_solver(options.solver)
    for weights in options.weights:
        channel.log("Finetuning from " + weights)
        solver.net.copy_from(weights)
    # solver.step() does not print this line, from which Caffe's log tools take the start time
    channel.log("Solving " + options.net_name)
    if extensions is not None and options.solvers == 1:
        extensions.stop_when(solver, control.stopping)
    if options.restore:
        channel.log("Restoring previous solver status from " + options.restore)
        solver.restore(options.restore)
        if options.exactly and extensions is not None:
            extensions.restore_complete(solver, options.restore)
        for skip in options.skip:
            _skip(solver, skip)
    ranks = together.Together(caffe, solver, options, control)
    if extensions is not None:
        extensions.make_resumable(solver, ranks.nccl)
    if options.max_norm is not None:
        # the last process may have been killed after its snapshot but before the constraint
        max_norm.limit(solver.net, options.max_norm)
        if extensions is not None:
            extensions.limit_norms(solver, options.max_norm)
    first = solver.iter
    channel.emit("solving", iteration=first)
    steps = _Steps(solver, options, control, extensions, ranks)
    try:
        whole = steps.run()
    except _Diverged as diverged:
        # no snapshot: these weights are useless
        channel.emit("diverged", iteration=solver.iter, message=str(diverged))
        return 1
    if not whole:
        if solver.iter > steps.saved:  # there are updates since the last snapshot
            solver.snapshot()
            channel.emit("snapshot", iteration=solver.iter)
        channel.log("Optimization stopped early.")
        channel.emit("stopped", iteration=solver.iter)
        return STOPPED
    if ranks.rank:
        if extensions is not None and (not options.snapshot or solver.iter % options.snapshot):
            solver.snapshot()  # this rank's part of the snapshot that rank 0's solve() writes
        channel.emit("done", iteration=solver.iter)
        return 0
    # at max_iter no iteration is left: this is Caffe's own last snapshot, display and test
    solver.solve()
    channel.emit("snapshot", iteration=solver.iter)
    if extensions is not None and control.stopping():  # perhaps during the last test
        channel.emit("stopped", iteration=solver.iter)
        return STOPPED
    if options.test_interval and solver.iter % options.test_interval:
        for index in range(len(solver.test_nets)):
            _test(solver, index, options.test_iter[index])
    channel.emit("done", iteration=solver.iter, loss=steps.loss)
    return 0


def _skip(solver, skip):
    """Run a Data layer alone until it has given as many batches as before the snapshot."""
    number, _, rest = skip.partition(":")
    name, _, batches = rest.rpartition(":")
    net = solver.net if number == "0" else solver.test_nets[int(number) - 1]
    layer = list(net._layer_names).index(name)
    if int(batches):
        channel.log("Skipping %s batches of layer %s of net #%s" % (batches, name, number))
    for _ in range(int(batches)):
        net._forward(layer, layer)


class _Steps(object):
    """Steps a solver to max_iter; handles stop requests and snapshots between iterations.

    Normally each call of ``step`` makes one iteration.  But every call of real Caffe's ``step``
    starts ``average_loss`` anew, so with an average over several iterations its calls must be
    longer.  If the solver takes callbacks, one call runs to the end, and a callback watches for the
    stop; otherwise one call runs up to the next display, which then shows the average since the
    last one.

    With ``--max-norm`` real Caffe makes one iteration per call all the same, since the constraint
    follows every update; it then displays the loss of single iterations.
    """

    def __init__(self, solver, options, control, extensions, ranks):
        """``extensions``: an engine that has them averages the loss across calls of ``step``."""
        self._ranks = ranks
        self._solver = solver
        self._options = options
        self._control = control
        self._extensions = extensions
        self._norm = options.max_norm if extensions is None else None
        self._long = options.average_loss > 1 and extensions is None and self._norm is None
        self._time = 0.0
        self.saved = solver.iter  # iteration of the newest snapshot
        self._checked = solver.iter  # iteration of the last check
        self.loss = None  # of the last forward pass before that check

    def run(self):
        """Step to max_iter; return False if stopped before."""
        solver, options = self._solver, self._options
        whole = self._long and hasattr(solver, "add_callback")
        if whole:
            solver.add_callback(self._watch, lambda: None)
        try:
            while solver.iter < options.max_iter:
                self._watch()
                left = options.max_iter - solver.iter
                if whole:
                    solver.step(left)
                elif self._long and options.display:
                    to_display = -solver.iter % options.display
                    solver.step(min(left, to_display + 1))
                else:
                    solver.step(1)
                    self._constrain()
            self._check(at_end=True)
            self._report()
        except _Stop:
            return False
        return True

    def _constrain(self):
        """Apply max-norm after real Caffe's update, and also to a snapshot of the same step."""
        if self._norm is not None:
            max_norm.limit(self._solver.net, self._norm)
            due = self._options.snapshot and self._solver.iter % self._options.snapshot == 0
            if due and not self._options.rank:
                self._solver.snapshot()  # replaces the one without the constraint

    def _watch(self):
        """Called between iterations: check, report, and follow control words."""
        self._check()
        self._report()
        if self._ranks.agreed("stop" in self._control.poll()):
            raise _Stop()
        now = time.time()
        if now - self._time >= _EVENT_SECONDS:
            self._time = now
            channel.emit("iteration", iteration=self._solver.iter)

    def _check(self, at_end=False):
        """Raise _Diverged if loss or weights are not sound.

        Done once per display interval, at snapshots and at the end.
        """
        reached, options = self._solver.iter, self._options
        every = options.display or _CHECK_INTERVAL
        # an iteration is displayed before its update, hence the - 1
        due = at_end or (reached - 1) // every > (self._checked - 1) // every
        due = due or (options.snapshot and reached % options.snapshot == 0)
        if not due or reached == self._checked or options.rank:
            return
        self._checked = reached
        loss, layer = (self._extensions.health if self._extensions else _health)(self._solver)
        self.loss = loss
        if not math.isfinite(loss):
            raise _Diverged("the training loss is not finite at iteration %d" % (reached - 1))
        if options.divergence_limit is not None and loss >= options.divergence_limit:
            raise _Diverged("the training loss is %.4g at iteration %d" % (loss, reached - 1))
        if layer is not None:
            raise _Diverged(
                "the weights of layer '%s' are not finite after iteration %d" % (layer, reached - 1)
            )

    def _report(self):
        """Report a snapshot that the solver has just written by itself."""
        every, reached = self._options.snapshot, self._solver.iter
        if every and reached // every > self.saved // every:
            self.saved = reached - reached % every
            channel.emit("snapshot", iteration=self.saved)


def _health(solver):
    """The loss of the last forward pass, and the first layer whose weights are not all finite."""
    net = solver.net
    loss = 0.0
    for name, weight in net.blob_loss_weights.items():
        if weight:
            loss += weight * float(net.blobs[name].data.sum())
    for name, blobs in net.params.items():
        # a single NaN or infinity makes the sum non-finite
        if not all(math.isfinite(blob.data.sum(dtype="float64")) for blob in blobs):
            return loss, name
    return loss, None


def _test(solver, index, iterations):
    """Test and log as the solver does: the mean of every output over test_iter."""
    net = solver.test_nets[index]
    net.share_with(solver.net)
    channel.log("Iteration %d, Testing net (#%d)" % (solver.iter, index))
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
            channel.log(text)
            number += 1
