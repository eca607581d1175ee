"""Every figure by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinynet.report import net_figures, score_figures, search_and_folds
from tinynet.report.figure import Figure, FigureOptions
from tinynet.report.report_data import ReportData

FIGURES: dict[str, Callable[[ReportData, FigureOptions], Iterator[Figure]]] = {
    "architecture": net_figures.architecture,
    "filters": net_figures.filters,
    "feature-maps": net_figures.feature_maps,
    "occlusion": net_figures.occlusion,
    "subsets": score_figures.subsets,
    "accuracies": score_figures.accuracies,
    "dissection": score_figures.dissection,
    "curves": score_figures.curves,
    "confusion": score_figures.confusion,
    "search": search_and_folds.search_figures,
    "folds": search_and_folds.folds_figures,
}


def make(name: str, report_data: ReportData, options: FigureOptions) -> list[Figure]:
    """The figures called ``name``.  Raises Absent where their runs are not there."""
    return list(FIGURES[name](report_data, options))
