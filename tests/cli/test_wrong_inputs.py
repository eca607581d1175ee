"""A wrong input is refused at once with one line and the right status; nothing is changed.

Every line of CASES is what somebody types by mistake.  Nothing here starts a worker: what is wrong
is seen before that.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import run
from tests.run import small_runs
from tinynet.caffeformat.lmdb import open_store, write_store
from tinynet.errors import TinynetError


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, its LMDBs, its nets, and one file of each wrong kind."""
    root = tmp_path_factory.mktemp("a folder ü")
    sizes = ("--train-per-class", 4, "--val-per-class", 2, "--test-per-class", 1, "--classes", 3)
    assert run("data", "synthesize", "--out", root / "images", *sizes).status == 0
    assert run("data", "convert", root / "images", "--out", root / "lmdb").status == 0
    small = root / "small"
    small.mkdir()
    (small / "train_val.prototxt").write_text(small_runs.NET)
    (small / "solver.prototxt").write_text(small_runs.SOLVER)
    (root / "file.txt").write_text("hello\n")
    (root / "empty").mkdir()
    (root / "x.caffemodel").write_bytes(b"\xa2\x00\x01")
    (root / "x.npz").write_bytes(b"PK\x03\x04")
    (root / "bad.json").write_text('{"a": ')
    shutil.copytree(root / "small", root / "half")
    (root / "half/train.log").write_text("")
    shutil.copytree(root / "lmdb", root / "cut")
    data = root / "cut/train_lmdb/data.mdb"
    data.write_bytes(data.read_bytes()[:5000])
    return root


CASES = """
2 data convert images --out ''                          '--out': is empty
2 data convert '' --out x                               is empty; name a file or a folder
1 data convert images --out file.txt                    file.txt: is a file
1 data convert file.txt --out x                         is not a whole zip
1 data convert lmdb --out x                             is converted already
1 data verify cut                                       train_lmdb/data.mdb: is cut short, 5,000 of
2 data split lmdb --out lmdb --half-val --overwrite     is the folder that is split
2 data split lmdb --out x --fold 6/5                    no fold 6 of 5
2 data split lmdb --out x --hold-out 1.5                '--hold-out': 1.5 is not in the range
2 data synthesize --out x --classes -3                  there can be 2 to 400
2 data fetch --out x --url ''                           --url '': is not the http or https address
2 generate --data images                                holds no manifest.json
2 generate --data wrong/path                            no such folder
2 generate --classes 10 --data lmdb                     lmdb has 3 classes
2 generate --stage 9                                    no stage 9; the stages are 1 to 8
2 generate --out file.txt                               is a file
2 generate --momentum 2                                 momentum is 2
1 generate --overrides bad.json                         not a file of overrides
2 train                                                 name either --stage N or a SOLVER.prototxt
2 train small/train_val.prototxt                        is a net, not a solver
2 train x.caffemodel                                    is a snapshot, not a solver
1 train x.npz                                           stray byte
1 train file.txt                                        file.txt:1: unknown field 'hello'
2 train half                                            a run without its run.json
2 train empty                                           holds neither a run (run.json) nor
2 train small/solver.prototxt --gpu 0 --cpu             --gpu and --cpu: choose one
2 train small/solver.prototxt --gpus 0                  GPU 0 alone is --gpu 0
2 train small/solver.prototxt --max-iter 1e3            '1e3' is not a valid whole number
2 train small/solver.prototxt --max-iter -5             -5 is not in the range
2 train small/solver.prototxt --engine cafe             'cafe' is not one of
2 train small/solver.prototxt --set base_lrr=1          no solver field 'base_lrr'
2 train small/solver.prototxt --name ''                 it is to name a folder
1 train small/solver.prototxt --runs file.txt           leads through a file
2 train missing.prototxt                                no such solver
2 train --stage 1 --member 2                            stage 1 has no members
2 train --stage 8                                       has members 1 to 11: name one
2 evaluate nothing                                      no such run directory
2 evaluate nothing --iteration best                     no such run directory
2 evaluate file.txt                                     is a file, and no run directory
1 evaluate empty                                        is not a run directory
2 evaluate empty --oversampel                           did you mean '--oversample'
2 ensemble wrong wronger                                no such run or .npz
2 ensemble empty empty                                  would count double
2 predict                                               name a RUN
2 predict empty file.txt                                name the file to write with --out
2 report nothing                                        nothing:
2 jobs create list                                      name what to run
2 jobs create list --no-evaluate small/solver.prototxt --train '--a 5' | does not take these
2 jobs create list missing.prototxt                     no such solver
2 jobs create '' --stage 1                              'LIST': is empty
2 jobs slurm list --time abc                            give minutes, hours:minutes:seconds
2 dissect lmdb --variant nope                           no variant 'nope'
1 dissect nothing                                       is not a finished conversion
2 dissect --collect --out empty                         holds no dissection
2 search lmdb                                           name one of --stage N and --variant NAME
2 search lmdb --stage 8                                 search --stage 7
2 search lmdb --stage 1 --range base_lr=1:0.1           base_lr
2 dissect lmdb --engine cafe                            'cafe' is not one of
1 dissect lmdb --caffe-python nowhere --engine caffe    which is not a Python
2 parity missing.prototxt                               no such solver
2 parity small/train_val.prototxt                       is a net, not a solver
1 parity small/solver.prototxt --figure file.txt/x.png  leads through a file
2 report empty --only curves --out x.bmp                a figure is written as
1 report empty --out file.txt/x.html                    leads through a file
1 report empty --only curves --out file.txt/x.png       leads through a file
1 report empty --only curves --out file.txt/figures     leads through a file
2 report empty --out x.pdf                              the page is an .html file
2 report file.txt                                       is a file
1 ensemble empty --out file.txt/x                       leads through a file
1 predict empty --out file.txt/x                        leads through a file
1 predict --check file.txt --data lmdb                  'hello' is not an image name and a wnid
2 predict nothing --best --out s.txt                    nothing: is not a folder
2 jobs create list small/train_val.prototxt             is a net, not a solver
2 jobs local nothing                                    is not a job list
1 jobs status file.txt                                  leads through a file
2 stages --classes 99999999999                          99999999999 is not in the range
2 stages --batch-size 99999999999                       99999999999 is not in the range
2 report empty --watch --every nan                      is not a finite number
2 stages --stage 12                                     no stage 12
1 draw file.txt                                         unknown field 'hello'
2 bench --only x                                        'x' is not one of
2 diff 3 12                                             no stage 12
2 manual nothing                                        the topics are index
2 doctr                                                 did you mean 'doctor'
"""


def cases() -> list[tuple[int, str, str]]:
    found = []
    for line in filter(None, CASES.splitlines()):
        status, rest = int(line[0]), line[2:]
        command, bar, says = rest.partition(" | ")
        if not bar:
            command, says = rest[:54], rest[54:]
        found.append((status, command.strip(), says.strip()))
    return found


@pytest.mark.parametrize(("status", "command", "says"), cases(), ids=lambda value: str(value))
def test_a_wrong_input_gives_one_line_and_changes_nothing(
    shared: Path, monkeypatch: pytest.MonkeyPatch, status: int, command: str, says: str
) -> None:
    monkeypatch.chdir(shared)
    before = sorted(path for path in shared.rglob("*"))
    done = run(*shlex.split(command))
    assert (done.status, done.stderr.count("\n")) == (status, 1), done.stderr
    assert done.stderr.startswith("tinynet: ") and says in done.stderr
    assert sorted(path for path in shared.rglob("*")) == before


def test_a_truncated_lmdb_is_refused_and_a_whole_one_is_read(tmp_path: Path) -> None:
    records = [(b"%04d" % n, np.random.default_rng(n).bytes(9000)) for n in range(200)]
    write_store(tmp_path / "db", records)
    with open_store(tmp_path / "db") as store:
        assert list(store.records()) == records
    data = tmp_path / "db/data.mdb"
    whole = data.read_bytes()
    for part in (0.9, 0.5, 0.1):
        data.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(TinynetError, match=r"data.mdb: is cut short, [\d,]+ of [\d,]+ bytes"):
            open_store(tmp_path / "db")
    data.write_bytes(whole)
    with open_store(tmp_path / "db") as store:
        assert len(store) == 200
