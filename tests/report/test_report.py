"""The page is complete, valid and true to its runs."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.report import run_directories
from tests.report.run_directories import HOSTILE, write_run
from tests.study.results_by_hand import settings
from tinynet.cli.report import NAMES, report
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths
from tinynet.experiment.stages import STAGES
from tinynet.predict.metrics import score
from tinynet.predict.probabilities import read_probabilities, write_probabilities
from tinynet.report.figure import FigureOptions
from tinynet.report.figures import FIGURES, make
from tinynet.report.page import command_line, evaluations_of
from tinynet.report.report_data import ReportData, collect
from tinynet.report.summary import ensemble_of, oversampling, stage_rows
from tinynet.run.paths import RunPaths
from tinynet.study.results import Dissection, Subset, write_dissection
from tinynet.study.settings import Split


def test_the_page_is_valid_html_with_unique_ids_and_no_dead_links(page):
    html5lib = pytest.importorskip("html5lib", reason="html5lib is not installed")
    html = page.read_text()
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    ids = [part.get("id") for part in tree.iter() if part.get("id")]
    assert len(ids) == len(set(ids))
    for part in tree.iter():
        for key in ("aria-labelledby", "aria-describedby", "for"):
            assert set((part.get(key) or "").split()) <= set(ids)
        for key in ("href", "{http://www.w3.org/1999/xlink}href"):
            if (part.get(key) or "").startswith("#"):
                assert part.get(key)[1:] in ids
    assert len(re.findall("<h1", html)) == 1
    levels = [int(n) for n in re.findall(r"<h(\d)", html)]
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))


def test_the_page_loads_nothing_from_other_hosts(page):
    html = page.read_text()
    html = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert not re.search(r"https?://", html)
    assert "default-src 'none'" in html


def test_every_figure_has_a_description(page):
    html = page.read_text()
    figures = re.findall(r"<svg[^>]*>.*?</svg>", html, re.DOTALL)
    assert len(figures) >= 6
    for figure in figures:
        assert 'role="img"' in figure[:400]
        assert len(re.search(r"<title[^>]*>(.*?)</title>", figure)[1]) > 5
        assert len(re.search(r"<desc[^>]*>(.*?)</desc>", figure)[1]) > 40


def test_hostile_names_are_escaped_on_the_page(page):
    html = page.read_text()
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html
    assert html.count("<script") == 1


def test_the_tables_numbers_are_those_of_the_files(page, runs):
    html = page.read_text()
    for folder in (p.parent for p in runs.glob("*/*/run.json")):
        path = RunPaths(folder).probabilities("val")
        if path.exists():
            found = read_probabilities(path)
            top1 = 100 * score(found.probabilities, found.labels).top1
            assert f'data-value="{top1:.9g}">{top1:.2f}<' in html
    assert html.count("ab" * 32) >= 5 and "cd" * 32 in html  # weights and solvers, whole
    assert "tinynet train --stage 1 --seed 2" in html


def test_the_page_shows_the_command_that_makes_it(page, runs):
    assert f"tinynet report {runs} " in page.read_text()
    report_data = ReportData([], sources=[Path("my runs")], data_folder=Path("data/lmdb"))
    options = FigureOptions(stage=7, image="val_0.JPEG")
    line = command_line(report_data, options, Path("out/r.html"))
    given = report.make_context("report", shlex.split(line)[2:]).params
    assert (given["sources"], given["data"]) == ((Path("my runs"),), Path("data/lmdb"))
    assert (given["stage"], given["image"], given["out"]) == (7, "val_0.JPEG", Path("out/r.html"))
    assert (given["prototxt"], given["engine"]) == (options.prototxt, options.engine)


def test_an_evaluation_on_a_sample_is_repeated_on_that_sample(tmp_path):
    paths = write_run(tmp_path / "stage1_simple" / "seed1")
    whole, sample = paths.probabilities("val"), paths.probabilities("val", sample=60)
    (run_data,) = collect([tmp_path]).runs
    lines = list(evaluations_of(run_data))
    assert lines[0] == f"tinynet evaluate {paths.root} --split val"
    assert lines[1] == f"{lines[0]} --oversample"
    whole.rename(sample)
    (run_data,) = collect([tmp_path]).runs
    assert f"{lines[0]} --sample 60" in evaluations_of(run_data)


def test_a_sample_beside_the_whole_split_is_not_compared_with_it(tmp_path):
    write_run(tmp_path / "stage1_simple" / "seed1")
    paths = write_run(tmp_path / "stage1_simple" / "seed2", seed=2)
    whole = read_probabilities(paths.probabilities("val"))
    parts = {key: getattr(whole, key)[:20] for key in ("probabilities", "labels", "names")}
    write_probabilities(paths.probabilities("val", sample=20), replace(whole, **parts))
    collect([tmp_path])  # the whole split is there too
    paths.probabilities("val").unlink()
    with pytest.raises(UsageError, match="answers for 60 val images, but .*seed2 for 20; evaluate"):
        collect([tmp_path])


def test_runs_that_are_not_finished_are_neither_the_best_nor_members(tmp_path):
    folder = tmp_path / "stage7_dropout2"
    write_run(folder / "seed1", 1, skill=0.2)
    write_run(folder / "seed2", 2, skill=0.9, state="stopped")
    write_run(folder / "seed3", 3, skill=0.9, state="diverged", message="loss 87")
    found = collect([tmp_path])
    assert found.best is not None and found.best.name == "stage7_dropout2/seed1"
    assert found.members == [] and ensemble_of(found) is None
    alone = collect([folder / "seed2"])  # a run that was stopped can be looked at, with a warning
    assert alone.best is not None and alone.best.name == "stage7_dropout2/seed2"


def test_every_figure_can_be_requested_alone():
    assert tuple(FIGURES) == NAMES


def test_an_unfinished_run_is_named_and_counts_in_no_mean(page):
    html = page.read_text()
    assert "stage2_dropout1/seed1 is not finished (stopped, iteration 40 of 100)" in html
    row = re.search(r"<tr[^>]*><th[^>]*>2 \+ dropout 1.*?</tr>", html, re.DOTALL)[0]
    assert "not run" in row and "20.00" not in row and "40.00" not in row


def test_a_report_of_one_run_without_probabilities_says_what_has_not_run(tmp_path):
    write_run(tmp_path / "stage1_simple" / "seed1", state="diverged", message="loss 87",
              evaluated=False)  # fmt: skip
    done = run("report", tmp_path, "--out", tmp_path / "r.html")
    assert (done.status, done.stderr) == (0, "")
    html = (tmp_path / "r.html").read_text()
    assert "stage1_simple/seed1 diverged (loss 87)" in html
    assert html.count("Not here: ") >= 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.html", "stage1_simple"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent"], "absent: no such folder"),
        (["."], "holds no run"),
        (["two"], "different data sets (their classes differ)"),
        (["one", "--out", "x.pdf"], "the page is an .html file"),
        (["one", "--only", "curves", "--out", "x.jpg"], ".png, .svg, .pdf"),
        (["one", "--only", "curve"], "'curves'"),
        (["one", "--only", "filters", "--stage", 2], "--stage goes with --only architecture"),
        (["one", "--only", "curves", "--image", "x"], "--image goes with --only feature-maps"),
    ],
)
def test_a_users_mistake_gets_one_line_and_writes_nothing(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    if arguments[0] in ("one", "two"):
        write_run(tmp_path / arguments[0] / "stage1_simple" / "seed1")
    if arguments[0] == "two":
        write_run(tmp_path / "two" / "stage2_dropout1" / "seed1", classes=4)
    before = sorted(tmp_path.iterdir())
    done = run("report", *arguments)
    assert done.status == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_results_folder_gives_the_same_table_and_the_optimism_as_a_number(runs, page, tmp_path):
    report_data = collect([runs])
    folder = shutil.copytree(runs, tmp_path / "results")
    ensemble = replace(
        ensemble_of(report_data),
        chosen=Subset([1, 2], reported=0.5, tuning=0.6),
        flattered=Subset([1, 3], reported=0.52, tuning=0.58),
    )
    table = Dissection(
        settings=settings(
            data={"source": HOSTILE},
            command="tinynet dissect x --split-seed 1",
            overrides={"stage1_simple": {"base_lr": 0.02}, "stage2_dropout1": {"base_lr": 0.03}},
            choices={"stage1_simple": {"images": 50, "role": "tuning images", "reported": 7}},
        ),
        reported=Split("val", "images that choose nothing", 60),
        tuning=Split("test", "held out of the training images", 50),
        stages=stage_rows(report_data),
        variants=[],
        oversampling=None,
        ensemble=ensemble,
    )
    write_dissection(folder, table)
    done = run("report", folder, "--out", tmp_path / "r.html")
    assert (done.status, done.stderr) == (0, "")
    html = (tmp_path / "r.html").read_text()
    first = re.compile(r"<tr[^>]*><th[^>]*>1 Simple model.*?</tr>", re.DOTALL)
    assert first.search(html)[0] == first.search(page.read_text())[0]
    assert "is optimistic by 2.00 points" in html and "5.02 points" in html
    notes = re.findall(r'<p class="note">(.*?)</p>', html)
    assert any("50 images (tuning images), of which 7 are reported" in note for note in notes)
    assert any("stage2_dropout1: base_lr 0.03: on which images" in note for note in notes)
    assert "tinynet dissect x --split-seed 1" in html
    assert "<script>alert" not in html
    both = run("report", folder, runs, "--out", tmp_path / "both.html")
    assert both.status == 2 and "name it alone" in both.stderr


def test_the_ten_crops_of_a_variant_are_not_its_stages(runs):
    table = stage_rows(collect([runs]))
    variant = replace(table[0], number=7, name="variant_msra", title="MSRA initialization")
    split = Split("val", "the validation images", 60)
    whole = Dissection(settings(), split, None, table, [variant], None, None)
    (seventh,) = [row for row in table if row.number == 7]
    assert None not in (seventh.ten_crop, variant.ten_crop)
    assert oversampling(ReportData([], dissection=whole)).ten_crop == seventh.ten_crop
    without = replace(whole, stages=[row for row in table if row.number != 7])
    assert oversampling(ReportData([], dissection=without)).ten_crop is None


def test_trials_and_folds_have_tables_and_figures_of_their_own(page):
    html = page.read_text()
    assert 'id="figure-search-1-stage1-simple"' in html and 'id="figure-folds-1"' in html
    trials = re.search(r'<table id="trials-1"[^>]*>.*?</table>', html, re.DOTALL)[0]
    cells = re.findall(r"<t[hd][^>]* role=\"(?:rowheader|cell)\"[^>]*>(.*?)</t[hd]>", trials)
    assert cells[:5] == ["4", "complete", "0.015", "0.0001", "32.00"]  # best first
    assert trials.count("<tr ") == 1 + 5 and "—" in trials  # the failed one has no accuracy
    assert "0.015, weight_decay 0.0001 won, of 5 trials, on 1000 images" in html
    folds = re.search(r'<table id="folds-1"[^>]*>.*?</table>', html, re.DOTALL)[0]
    assert all(text in folds for text in ("41.00", "38.00 … 45.00", "+4.00", "not run"))
    assert "tinynet dissect data/lmdb --folds 3" in html
    assert "trial" not in re.search(r'<table id="runs"[^>]*>.*?</table>', html, re.DOTALL)[0]


def test_a_dissection_folder_is_reported_with_the_weights_of_its_runs(runs, tmp_path):
    out = tmp_path / "runs" / "dissection"
    shutil.copytree(runs / "stage1_simple", out / "results" / "stage1_simple")
    shutil.copytree(runs / "stage1_simple", out / "runs" / "stage1_simple")
    report_data = collect([runs])
    named = settings(data={"source": "drawn", "class_names": {"n00000001": "second"}})
    split = Split("val", "the validation images", 60)
    table = Dissection(named, split, None, stage_rows(report_data)[:1], [], None, None)
    write_dissection(out / "results", table)
    half = out / "results" / "stage1_simple" / ".seed1.killed"  # while it was taken over
    shutil.copytree(out / "results" / "stage1_simple" / "seed1", half)
    for folder in (tmp_path / "runs", out, out / "results"):
        found = collect([folder])
        assert found.dissection == table
        assert [run.name for run in found.runs] == ["stage1_simple/seed1", "stage1_simple/seed2"]
        assert all(run.folder.parts[-3] == "results" for run in found.runs)
        assert [run.whole.parts[-3] for run in found.runs] == ["runs", "runs"]
        assert found.class_names == {"n00000001": "second"}
    net = "layer { name: 'prob' type: 'Input' top: 'prob' input_param { shape { dim: 1 dim: 3 } } }"
    (out / "runs/stage1_simple/seed1/deploy.prototxt").write_text(net)
    alone = FigureOptions(prototxt=tmp_path)
    assert [f.stem for f in make("architecture", collect([out]), alone)] == [
        "architecture_stage1_simple"
    ]
    with pytest.raises(TinynetError, match="'tinynet dissect --stage 8' adds it"):
        make("subsets", collect([out]), alone)
    assert collect([out]).lost[0] == out / "results" / "stage1_simple" / "seed1" / "scores.json"
    shutil.rmtree(out / "results" / "stage1_simple" / "seed2")
    assert run("report", out, "--out", tmp_path / "lost.html").status == 0
    notes = re.findall(r'<p class="note">(.*?)</p>', (tmp_path / "lost.html").read_text())
    assert sum("stage1_simple/seed2 is missing: figures" in note for note in notes) == 1
    run_directories.write_folds(tmp_path / "folds")  # a cross-validation with the same --out
    shutil.copytree(tmp_path / "folds", out / "results", dirs_exist_ok=True)
    write_dissection(out / "results" / "fold1", table)
    both = collect([out])
    assert both.dissection == table and len(both.runs) == 1
    assert [found.folder for found in both.folds] == [out / "results"]
    write_run(tmp_path / "runs" / "stage2_dropout1" / "seed1")
    done = run("report", tmp_path / "runs", "--out", tmp_path / "r.html")
    assert done.status == 2 and done.stderr.count("\n") == 1 and "name it alone" in done.stderr


def test_an_architecture_has_as_many_classes_as_the_data(runs):
    (figure, *_) = make("architecture", collect([runs]), FigureOptions())
    assert figure.title == "Stage 1 Simple model"
    assert "fc2 5" in figure.alt.replace("(", "").replace(")", "").replace(":", "")


def test_architectures_are_in_stage_order_whichever_have_run(tmp_path):
    for name in ("mine", "stage4_leaky_relu"):
        run_paths = write_run(tmp_path / name / "seed1")
        shutil.copyfile(StagePaths(PROTOTXT_ROOT, "stage4_leaky_relu").deploy, run_paths.deploy)
    titles = [figure.title for figure in make("architecture", collect([tmp_path]), FigureOptions())]
    assert titles == [*(f"Stage {stage.label}" for stage in STAGES[:7]), "mine"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("trials.csv", "trial,state\nx,complete\n"),
        ("trials.csv", "trial,state,base_lr,tuning_accuracy\n0,complete,-1,0.5\n"),
        ("overrides.json", "[]"),
        ("folds.json", '{"stages": [{"name": 1}]}'),
        ("folds.json", "{"),
    ],
)
def test_a_damaged_search_or_cross_validation_is_one_line(tmp_path, file, content):
    if file != "folds.json":
        run_directories.write_search(tmp_path / "x")
    (tmp_path / "x").mkdir(exist_ok=True)
    (tmp_path / "x" / file).write_text(content)
    done = run("report", tmp_path / "x", "--out", tmp_path / "r.html")
    assert done.status == 1 and done.stderr.count("\n") == 1 and file in done.stderr
    assert not (tmp_path / "r.html").exists()


def test_only_draws_one_figure_in_the_format_of_its_suffix(runs, tmp_path):
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        out = tmp_path / f"curves{suffix}"
        assert run("report", runs, "--only", "curves", "--out", out).status == 0
        assert out.read_bytes().startswith(start)


def test_the_row_of_a_run_is_found_without_a_search_through_all_runs():
    """A thousand runs, each named twice on the page, would need two million look-ups."""
    asked = []

    class Named:
        def __init__(self, name):
            self.given = name

        @property
        def name(self):
            asked.append(self.given)
            return self.given

    data = ReportData([Named(name) for name in ("a/1", "a/2", "a/1", "b/1")], suffix="-x")
    assert data.run_id("a/1") == "run-1-x", "of two of one name the first"
    assert [data.run_id(name) for name in ("b/1", "a/2", "none")] == ["run-4-x", "run-2-x", ""]
    assert len(asked) == 4
