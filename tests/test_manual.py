"""Every page of the manual can be shown, names only what exists, and builds into a sound site."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import run
from tinynet.cli.main import COMMANDS
from tinynet.manual import FOLDER, page, topics

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(FOLDER.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
GROUPS = ("data", "jobs", "caffe")


def lines() -> list[str]:
    """Every tinynet command line in the pages, without comments and prompts."""
    found = set()
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"(?m)^(?:> )?(tinynet [a-z].*?)(?: +#.*)?$", text))
        found |= set(re.findall(r"`(tinynet [a-z][^`]*)`", text))
    return sorted(found)


@pytest.mark.parametrize("line", lines())
def test_every_command_shown_exists_with_the_options_shown(line: str) -> None:
    words = line.split()[1:]
    assert words[0] in COMMANDS, line
    below = 2 if words[0] in GROUPS and len(words) > 1 and words[1].islower() else 1
    if words[0] == "caffe":
        return  # takes Caffe's own flags
    shown = run(*words[:below], "--help")
    assert shown.status == 0, shown.stderr
    for word in words:
        if word.startswith("--"):
            assert word in shown.stdout, f"tinynet {' '.join(words[:below])} has no {word}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_files_named_on_a_page_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), link
    for name in re.findall(r"`((?:scripts|data|tinynet|tests)/[\w/.]+\.\w+)`", text):
        # output of commands does not exist yet
        assert (ROOT / name).exists() or name.startswith("data/lmdb"), name
    if path.name == "architecture.md":
        for name in re.findall(r"`([a-z_]+/[\w/]+\.py)`", text):
            assert (ROOT / "tinynet" / name).exists() or (ROOT / name).exists(), name


@pytest.mark.parametrize("topic", topics())
def test_without_a_terminal_a_page_is_printed_unchanged(topic: str) -> None:
    shown = run("manual", *topic.split("-"))
    assert shown.status == 0 and shown.stdout == page(topic)


def test_the_layer_and_the_message_on_the_page_about_layers_work(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page("layers-of-your-own"), re.S)
    net = tmp_path / "net.prototxt"
    net.write_text(
        'input: "x" input_shape { dim: 1 dim: 3 }\n'
        'layer { name: "r" type: "ReLU6" bottom: "x" top: "y" permute_param { order: 1 } }'
    )
    code = "\n".join(blocks) + (
        "\nimport tinynet.torchcaffe as caffe\n"
        f"net = caffe.Net({str(net)!r}, caffe.TEST)\n"
        "net.blobs['x'].data[...] = [[-1, 3, 9]]\n"
        "print(net.forward()['y'].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[[0.0, 3.0, 6.0]]\n", done.stderr


def test_the_index_names_every_page() -> None:
    text = page("index")
    for topic in topics():
        assert topic == "index" or f"({topic}.md)" in text, topic


def test_no_topic_or_an_unknown_one_lists_all_topics() -> None:
    listed = run("manual").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(topics())
    missing = run("manual", "nothing")
    assert missing.status == 2 and "the topics are index, " in missing.stderr


class Links(html.parser.HTMLParser):
    """What a page of the site links to, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if found.get("id"):
            self.anchors.add(str(found["id"]))


def test_the_site_works_from_disk_with_every_command_and_no_dead_link(tmp_path: Path) -> None:
    mkdocs = shutil.which("mkdocs", path=str(Path(sys.executable).parent))
    if mkdocs is None:
        pytest.skip("mkdocs is not installed: pip install '.[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {}
    for path in tmp_path.rglob("*.html"):
        parser = Links()
        parser.feed(path.read_text(encoding="utf-8"))
        pages[path] = parser
    assert len(pages) > len(topics())
    for path, parser in pages.items():
        if path.name == "404.html":  # served from any depth
            continue
        for link in parser.links:
            name, _, anchor = link.partition("#")
            if "://" in name or name.startswith("mailto:"):
                continue
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), f"{path.name}: {link}"
            if anchor and target in pages and anchor != "__skip":
                assert anchor in pages[target].anchors, f"{path.name}: {link}"
    text = (tmp_path / "commands.html").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"tinynet {command}" in text
