"""The documentation: one Markdown page a topic, shipped with the package.

``tinynet manual TOPIC`` shows a page in the terminal; ``scripts/manual.sh`` builds them all into a
site that opens from disk.
"""

from __future__ import annotations

from pathlib import Path

from tinynet.errors import UsageError

FOLDER = Path(__file__).parent


def topics() -> dict[str, str]:
    """Topic → the title of its page, in alphabetical order but for ``index``, which is first."""
    pages = sorted(FOLDER.glob("*.md"), key=lambda page: (page.stem != "index", page.stem))
    return {page.stem: _title(page) for page in pages}


def page(topic: str) -> str:
    """The Markdown text of a topic; blanks stand for hyphens.

    Lines that only the site's generator understands (``::: MODULE``) are left out.
    Raises UsageError, which lists the topics, where there is no such page.
    """
    known = topics()
    name = "-".join(topic.lower().split())
    if name not in known:
        raise UsageError(f"no page '{topic}'; the topics are {', '.join(known)}")
    lines = (FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith(":::")).rstrip() + "\n"


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
