"""The parts of the bench: each returns the rows of its contestants."""

from __future__ import annotations

from collections.abc import Callable

from tinynet.bench import conversion, host, on_gpu, scaling, side_by_side, subset_search
from tinynet.bench.bench import Bench, Found
from tinynet.bench.competitors import competitors
from tinynet.bench.rounds import HOST, LIMIT, Row, alternate

_OURS = "torchcaffe float32"


def run(bench: Bench, part: str) -> list[Row]:
    """The rows of a part of PARTS."""
    if bench.busy:
        _ = bench.data  # converted before the competitors start
    with competitors(bench.busy):
        return PARTS[part](bench)


def gemm(bench: Bench) -> list[Row]:
    # tf32, which only a GPU has, comes last: the first two are ``products``
    names = ("float32", "bfloat16", *(() if bench.gpu is None else ("tf32",)))
    size = bench.size(4, 4)
    rows = [Row("gemm", name, "FLOP", of="float32") for name in names]
    entries = [(row, bench.plain("gemm", row.name), size) for row in rows]
    alternate(entries, bench.rounds, bench.say)
    bench.products = tuple(row.rate or 0.0 for row in rows[:2])
    return rows


def train(bench: Bench) -> list[Row]:
    found = []
    for number in (1, 7):
        if bench.gpu is None or isinstance(bench.torch, str):
            found += _train(bench, number)
        else:
            for batch in on_gpu.BATCHES:
                found += on_gpu.rows(bench, number, batch)
    bench.steps.update({row.part: row.rate for row in found if row.name == _OURS and row.rate})
    return found


def _train(bench: Bench, number: int) -> list[Row]:
    paths, flop = bench.prototxt(number)
    part = f"train stage {number}"
    names = (_OURS, "real Caffe", "plain PyTorch", "torchcaffe bfloat16")
    ours, real, plain, bf16 = (Row(part, name, "img", flop=flop, of="real Caffe") for name in names)
    solver, size = f"--solver={paths.solver}", bench.size(1, 2)
    in_bf16 = bench.worker(bench.torch, "train", solver, "--precision=bf16")
    rows = alternate(
        [
            (Row(part, LIMIT, "FLOP"), bench.plain("gemm", "float32"), bench.size(6, 6)),
            (ours, bench.worker(bench.torch, "train", solver), size),
            (real, bench.worker(bench.caffe, "train", solver), size),
            (plain, bench.plain("train", str(number), bench.folder), size),
            (bf16, bench.bfloat16(in_bf16), size),
        ],
        bench.rounds,
        bench.say,
    )
    if real.rate is None:
        for row in (ours, bf16):
            row.of = plain.name
        plain.of = ""
    return rows


def solvers(bench: Bench) -> list[Row]:
    engine = _on_cpus(bench)
    if isinstance(engine, str):
        return [Row("solvers", "2 solvers", "img", skipped=engine)]
    return scaling.rows(bench, engine, bench.size(1, 2))


def jobs(bench: Bench) -> list[Row]:
    engine = _on_cpus(bench)
    if isinstance(engine, str):
        return [Row("jobs", "trainings side by side", "img", skipped=engine)]
    size = bench.size(1, 2)
    return [*side_by_side.trainings(bench, engine, size), *side_by_side.jobs(bench, 2 * size)]


def _on_cpus(bench: Bench) -> Found:
    """The torch engine, for parts that are measured on CPUs only."""
    return bench.torch if bench.gpu is None else "measured on CPUs alone; leave out --gpu"


def host_share(bench: Bench) -> list[Row]:
    if isinstance(bench.torch, str):
        return [Row("host", "torchcaffe", HOST, skipped=bench.torch)]
    return host.rows(bench, bench.torch, 50 if bench.quick else 400)


def reader(bench: Bench) -> list[Row]:
    from tinynet.caffeformat import schema, text

    paths, _ = bench.prototxt(7)
    net = text.read(paths.train_val, schema.NetParameter)
    del net.layer[1:]
    alone = bench.scratch / "reader.prototxt"
    text.write(alone, net)
    ours = Row("reader", "torchcaffe Data layer", "img", of="real Caffe Data layer")
    real = Row("reader", "real Caffe Data layer", "img")
    given, size = ("reader", f"--model={alone}"), bench.size(20, 100)
    entries = [
        (ours, bench.worker(bench.torch, *given), size),
        (real, bench.worker(bench.caffe, *given), size),
    ]
    alternate(entries, bench.rounds, bench.say)
    if ours.rate:
        ours.shares = {part: rate / ours.rate for part, rate in bench.steps.items()}
    return [ours, real]


def crops(bench: Bench) -> list[Row]:
    model, size = f"--model={bench.prototxt(7)[0].deploy}", bench.size(1, 1)
    part, peer = "10 crops, stage 7", "real Caffe Classifier"
    in_bf16 = bench.worker(bench.torch, "shared-crops", model, "--precision=bf16")
    entries = [
        (Row(part, f"torchcaffe, {name}", "img", of=peer), start, size)
        for name, start in (
            ("shared", bench.worker(bench.torch, "shared-crops", model)),
            ("crop by crop", bench.worker(bench.torch, "plain-crops", model)),
            ("one crop only", bench.worker(bench.torch, "one-crop", model)),
            ("shared, bfloat16", bench.bfloat16(in_bf16)),
        )
    ]
    real = Row(part, peer, "img"), bench.worker(bench.caffe, "classifier", model), size
    return alternate([*entries, real], bench.rounds, bench.say)


def subsets(bench: Bench) -> list[Row]:
    few = 100 if bench.quick else 10_000
    return [
        subset_search.row(11, few, bench.rounds, bench.say),
        subset_search.row(20, few, 1, bench.say),
    ]


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "gemm": gemm,
    "train": train,
    "solvers": solvers,
    "jobs": jobs,
    "host": host_share,
    "reader": reader,
    "crops": crops,
    "convert": conversion.rows,
    "subsets": subsets,
}
