"""A worker's part in a training by several solvers, each in a worker of its own.

It does what Caffe's ``train.py`` does: every process sets the number of solvers and its own rank,
makes its solver, and joins the others through ``caffe.NCCL``; from then on their gradients are
averaged before each update.  Rank 0 makes the uid by which they connect and emits it as an event,
which the parent passes on to the others as a control word.

If a launcher has started them, on one machine or several (``--launched``), there is no common
parent: they connect at the address in the environment, and rank 0 sends the others its options.
"""

import binascii
import importlib
import json
import signal

from tinynet.engine.worker import channel
from tinynet.errors import TinynetError

_LAUNCHED = "env://"  # beginning of such a uid; only the torch engine supports launchers
# options that each rank keeps, whatever rank 0 was started with
_OWN = ("engine", "gpu", "rank", "launched")
_START_SECONDS, _END_SECONDS = 300.0, 60.0  # how long to wait for the other ranks


def add_arguments(parser):
    """Add to an argparse parser the options of a training by several solvers."""
    parser.add_argument("--solvers", type=int, default=1, metavar="N")
    parser.add_argument("--rank", type=int, default=0, metavar="R")
    parser.add_argument("--launched", metavar="WORD", help="name of this session of launched ranks")
    parser.add_argument("--more", action="store_true", help="another session follows this one")
    parser.add_argument("--nothing", type=int, metavar="STATUS", help="rank 0 has nothing to train")


def take_part(options):
    """Set the rank, before a solver is made; return False if rank 0 has nothing to train.

    ``options`` of a launched rank are changed to those of rank 0.
    """
    if options.solvers == 1:
        return True
    caffe = importlib.import_module(options.engine)
    if not getattr(caffe, "has_nccl", lambda: False)():
        raise TinynetError(
            "this Caffe (%s) is built without NCCL, by which several solvers train together; train "
            "on one GPU with --gpu N, or with --engine torch" % getattr(caffe, "__file__", "")
        )
    caffe.set_solver_count(options.solvers)
    caffe.set_solver_rank(options.rank)
    caffe.set_multiprocess(True)
    if options.launched:
        mine = {name: value for name, value in vars(options).items() if name not in _OWN}
        told = caffe.extensions.told_by_rank_0(
            _LAUNCHED + options.launched,
            None if options.rank else json.dumps(mine),
            # with nothing to train, the others may have ended already, by the same error
            _START_SECONDS if options.nothing is None else _END_SECONDS,
        )
        vars(options).update(json.loads(told))
        channel.emit("told", more=options.more, nothing=options.nothing)
    return options.nothing is None


class Together(object):
    """Joins a solver with those of the other ranks; does nothing for a single solver."""

    def __init__(self, caffe, solver, options, control):
        self.rank = options.rank
        self.nccl = None
        # real Caffe's ranks cannot agree on a stop: the parent ends the others after rank 0
        self._agree = hasattr(caffe, "extensions")
        if options.solvers == 1:
            return
        if self.rank and not self._agree:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.nccl = caffe.NCCL(solver, _uid(caffe, options, control))
        self.nccl.bcast()
        solver.add_callback(self.nccl)
        if solver.param.layer_wise_reduce and not self._agree:
            solver.net.after_backward(self.nccl)

    def agreed(self, stop):
        """Return whether all ranks stop now.  All of them call this before every iteration.

        ``stop``: whether this rank has been told to.
        """
        if self.nccl is None:
            return stop
        if self._agree:
            return bool(self.nccl.highest(int(stop)))
        return stop and not self.rank


def _uid(caffe, options, control):
    if options.launched:
        return (_LAUNCHED + options.launched).encode("ascii")
    if options.rank:
        return binascii.unhexlify(control.wait_for("uid "))
    uid = caffe.NCCL.new_uid()
    channel.emit("uid", uid=binascii.hexlify(uid).decode("ascii"))
    return uid
