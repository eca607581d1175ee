"""Both engines' losses, and how far they are apart, against the iteration."""

from __future__ import annotations

from matplotlib.figure import Figure

from tinynet.report import canvas
from tinynet.study.engine_parity import LOSS_LIMIT, ParityReport


@canvas.styled
def draw_parity(report: ParityReport) -> Figure:
    """Draw the report: left the losses, right their relative differences."""
    made, (losses, differences) = canvas.figure(9.5, 4.0, columns=2)
    reference = report.reference
    x = range(reference.first, reference.first + len(reference.losses))
    losses.plot(x, reference.losses, color=canvas.INK, linewidth=2.2, label="caffe")
    others = [report.torch] if report.yardstick is None else [report.torch, report.yardstick]
    for number, other in enumerate(others):
        look = canvas.series_style(number)
        name = "torch" if other is report.torch else f"caffe, {report.yardstick_differs_by}"
        losses.plot(x, other.run.losses, **look, linewidth=1.0, label=name)
        differences.plot(x, other.differences, **look, linewidth=1.0, label=name)
    differences.axhline(LOSS_LIMIT, color=canvas.FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    # a difference of 0 has no place on a logarithmic axis
    differences.set_yscale("log", nonpositive="mask")
    losses.set_title("Training loss")
    differences.set_title("Relative difference from real Caffe's")
    for axes in (losses, differences):
        axes.set_xlabel("iteration")
        axes.legend()
    return made
