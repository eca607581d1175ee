"""The opening sentence of a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.study.results_by_hand import add_run, begin
from tinynet.report.page_text import lead
from tinynet.report.report_data import ReportData
from tinynet.study.dissection_table import build


def test_the_result_is_of_one_crop_or_of_ten_if_only_those_were_evaluated(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, "stage1_simple/seed1", 1, one_crop=[0, 1], ten_crop=[0, 1, 2])
    table = build(results)
    paragraph = lead(ReportData([], dissection=table))
    assert paragraph.startswith("With one crop, stage 1 (Simple model) names 22.2 % of 9 ")
    rows = [replace(row, one_crop=None) for row in table.stages]
    paragraph = lead(ReportData([], dissection=replace(table, stages=rows)))
    assert paragraph.startswith("Over crops, stage 1 (Simple model) names 33.3 % of 9 ")
    rows = [replace(row, one_crop=None, ten_crop=None) for row in rows]
    paragraph = lead(ReportData([], dissection=replace(table, stages=rows)))
    assert paragraph.startswith("No run that is finished has been evaluated yet")
