"""The list itself: valid contents, repeated writing, and messages for a damaged one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.errors import TinynetError, UsageError
from tinynet.jobs import states
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.claims import claim
from tinynet.jobs.job_list import Job, JobList, levels, read


def job(name: str, *after: str, words: tuple[str, ...] = ("stages",)) -> Job:
    return Job(name, (words,), None, after)


def end(folder: Path, which: Job, status: int, message: str = "") -> None:
    claimed = claim(folder, which, read(folder), again=True)
    assert claimed is not None
    claimed.finish(status, message)


def test_a_list_is_read_as_it_was_written(folder: Path) -> None:
    jobs = [
        Job("a 'b' \"c\" $(d)", (("train", "it's; `x`"), ("evaluate", "x y")), Path("runs/x y")),
        Job("b", (("stages",),), Path("runs/z"), leaves=Path("results/z/scores.json")),
        job("last", "a 'b' \"c\" $(d)"),
    ]  # fmt: skip
    add_jobs(folder, jobs)
    assert read(folder) == JobList(tuple(jobs), Path.cwd())


def test_adding_jobs_keeps_the_others_and_their_states(folder: Path) -> None:
    add_jobs(folder, [job("a"), job("b")])
    end(folder, job("a"), 0)
    before = (folder / "jobs.json").read_bytes()
    add_jobs(folder, [job("a"), job("b")])
    assert (folder / "jobs.json").read_bytes() == before
    add_jobs(folder, [job("c", "a")])
    assert [j.name for j in read(folder).jobs] == ["a", "b", "c"]
    assert [s.name for s in states.states(folder).values()] == ["done", "waiting", "waiting"]


def test_new_commands_replace_only_waiting_or_failed_jobs(folder: Path) -> None:
    add_jobs(folder, [job("waits"), job("failed"), job("done"), job("stopped"), job("running")])
    for name, status in (("failed", 1), ("done", 0), ("stopped", 75)):
        end(folder, job(name), status)
    held = claim(folder, job("running"), read(folder))
    assert held is not None
    for name in ("waits", "failed"):
        add_jobs(folder, [job(name, words=("doctor",))])
        assert read(folder)[name].commands == (("doctor",),)
        assert states.states(folder)[name].name == "waiting"
    for name in ("done", "stopped", "running"):
        with pytest.raises(UsageError, match=f"'{name}' is {name} with other commands"):
            add_jobs(folder, [job(name, words=("doctor",))])
    held.finish(0)


def test_jobs_known_to_be_unfinished_replace_those_of_the_same_name(folder: Path) -> None:
    add_jobs(folder, [job("done"), job("stopped"), job("running")])
    end(folder, job("done"), 0)
    end(folder, job("stopped"), 75)
    held = claim(folder, job("running"), read(folder))
    assert held is not None
    others = [job(name, words=("doctor",)) for name in ("done", "stopped", "running")]
    add_jobs(folder, others, known_unfinished=True)
    assert list(read(folder).jobs) == others
    assert [s.name for s in states.states(folder).values()] == ["waiting", "waiting", "running"]
    held.finish(0)
    assert states.states(folder)["running"].name == "waiting", "the other commands are still to do"


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "a/b", "a\nb", "a\0b", "x" * 121])
def test_a_job_name_that_is_not_a_file_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="job name"):
        add_jobs(folder, [job(name)])
    assert not folder.exists()


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([job("a"), job("a")], "two jobs"),
        ([Job("a", ())], "empty command"),
        ([Job("a", ((),))], "empty command"),
        ([job("a", "b")], "comes after 'b', which is not in the list"),
        ([job("a", "b"), job("b", "c"), job("c", "a")], "wait for each other: a, b, c"),
    ],
)
def test_a_list_that_cannot_be_run_is_refused(folder: Path, jobs: list[Job], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        add_jobs(folder, jobs)


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=10))
def test_levels_hold_every_job_once_and_after_its_dependencies(needs: list[list[int]]) -> None:
    # jobs depend only on earlier ones, so an order exists; the reversed list hides it
    jobs = [job(str(n), *{str(m) for m in ms if m < n}) for n, ms in enumerate(needs)][::-1]
    groups = levels(jobs)
    assert sorted(j.name for group in groups for j in group) == sorted(j.name for j in jobs)
    seen: set[str] = set()
    for group in groups:
        assert all(seen.issuperset(j.after) for j in group)
        seen.update(j.name for j in group)


def test_a_list_below_a_link_to_another_depth_is_found(folder: Path, tmp_path: Path) -> None:
    deep = tmp_path / "scratch/a/b/c"
    deep.mkdir(parents=True)
    Path("lists").symlink_to(deep)
    add_jobs(Path("lists/one"), [job("a")])
    assert read(Path("lists/one")).directory == Path.cwd()


def test_a_list_may_move_with_its_runs_but_not_away_from_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_jobs(folder, [job("a")])
    (tmp_path / "new").mkdir()
    (tmp_path / "lists").rename(tmp_path / "new/lists")
    assert read(tmp_path / "new/lists/first").directory == tmp_path / "new"
    with pytest.raises(UsageError, match="paths start in"):
        add_jobs(tmp_path / "new/lists/first", [job("b")])


@pytest.mark.parametrize(
    "content",
    ["", "{", "3", "[]", "null", '{"jobs": []}', '{"directory": 3, "jobs": []}',
     '{"directory": ".", "jobs": [{"name": "a"}]}',
     '{"directory": ".", "jobs": [%s"a", "commands": [["x", 3]], "run": null, "after": []}]}',
     '{"directory": ".", "jobs": [%s"../a", "commands": [["x"]], "run": null, "after": []}]}'],
)  # fmt: skip
def test_a_damaged_list_is_one_clear_line(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "jobs.json").write_text(content.replace("%s", '{"name": '))
    with pytest.raises(TinynetError, match="jobs.json: (is damaged|cannot be read)"):
        read(folder)


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["jobs", "directory", "name", "commands", "run", "after"]),
                      inner, max_size=6), max_leaves=20,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_content_of_the_file_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "jobs.json").write_bytes(content)
    try:
        assert isinstance(read(folder), JobList)
    except TinynetError as error:
        assert "\n" not in str(error)


def test_a_folder_without_a_list_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="not a job list.*tinynet jobs create"):
        read(tmp_path)
