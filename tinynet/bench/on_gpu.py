"""Training on a GPU: every precision, with and without a CUDA graph, beside PyTorch's own ways."""

from __future__ import annotations

from tinynet.bench.bench import Bench
from tinynet.bench.rounds import LIMIT, Entry, Row, alternate
from tinynet.engine.precision import PRECISIONS

BATCHES = (128, 32)
_COMPILED = "reduce-overhead"  # torch.compile's mode that also makes CUDA graphs
_WITHOUT = {"TINYNET_CUDA_GRAPHS": "0"}
# an iteration takes some milliseconds; the warm-up prepares libraries and graphs
_ITERATIONS, _GEMMS, _WARM_UP = 200, 300, 20


def rows(bench: Bench, number: int, batch: int) -> list[Row]:
    """The contestants of a stage in batches of ``batch``; all are prepared at once."""
    paths, flop = bench.prototxt(number, batch)
    part = f"train stage {number}, batch {batch}"
    entries: list[Entry] = [(Row(part, LIMIT, "FLOP"), bench.plain("gemm", "float32"), _GEMMS)]
    warm_up = f"--warm-up={bench.train_images // batch + _WARM_UP}"  # the set moves to the GPU
    for precision in PRECISIONS:
        plain = Row(part, f"plain PyTorch {precision}", "img", flop=flop)
        compiled = Row(part, f"compiled PyTorch {precision}", "img", flop=flop, of=plain.name)
        ours = Row(part, f"torchcaffe {precision}", "img", flop=flop, of=plain.name)
        without = Row(part, f"{ours.name}, no graph", "img", flop=flop, of=plain.name)
        given = ["train", f"--solver={paths.solver}", f"--precision={precision}", warm_up]
        script = ["train", str(number), str(bench.folder), f"--precision={precision}"]
        script += [f"--batch={batch}", f"--warm-up={_WARM_UP}"]
        entries += [
            (ours, bench.worker(bench.torch, *given), _ITERATIONS),
            (without, bench.worker(bench.torch, *given, variables=_WITHOUT), _ITERATIONS),
            (plain, bench.plain(*script), _ITERATIONS),
            (compiled, bench.plain(*script, f"--compile={_COMPILED}"), _ITERATIONS),
        ]
    return alternate(entries, bench.rounds, bench.say, at_once=True)
