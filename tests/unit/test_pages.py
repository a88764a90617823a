"""Every link leads somewhere, every page can be found, and every example of a profile is clean."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from webhook.cli import command

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / name for name in ("docs", "examples", "charts", "tests")]
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))]
DOCS = [*(ROOT / "docs").glob("*.md")]
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
VALUE = re.compile(r"`(?P<path>[a-z][A-Za-z]*(\.[A-Za-z]+)+)(: [^`]*)?`")
PROFILES = sorted((ROOT / "examples").glob("vci-profile*.yaml"))


def text_of(page: Path) -> str:
    """Read a page without its code blocks."""
    return CODE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """List the anchors that a page's headings get: small letters, no punctuation, no blanks."""
    titles = [found["title"].lower() for found in HEADING.finditer(text_of(page))]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Give each link to a file or a heading that is not there."""
    for found in LINK.finditer(text_of(page)):
        path, _, anchor = found["target"].partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield found["target"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """The file is there, and so is the heading."""
    assert list(broken_links(page)) == []


def reached(page: Path) -> set[Path]:
    """List the pages to which a page's links lead, one after the other."""
    found: set[Path] = set()
    waiting = [page]
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md" and page.exists():
            found.add(page)
            links = LINK.finditer(text_of(page))
            waiting += [
                (page.parent / link["target"].partition("#")[0]).resolve() for link in links
            ]
    return found


def test_every_page_can_be_found() -> None:
    """Links lead from README.md to each page of docs/ that is not a decision's."""
    assert set(DOCS) - reached(ROOT / "README.md") == set()


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_value_of_the_chart_is_there(page: Path) -> None:
    """What a page names as a value, such as ``webhook.scope``, stands in values.yaml."""
    values = yaml.safe_load((ROOT / "charts/vci-webhook/values.yaml").read_text("utf-8"))
    paths = [found["path"].split(".") for found in VALUE.finditer(text_of(page))]
    missing = [path for path in paths if path[0] in values and not is_there(values, path)]
    assert missing == []


def is_there(values: object, path: list[str]) -> bool:
    """Tell whether a path leads somewhere; an empty map has whatever a person puts into it."""
    for name in path:
        if not isinstance(values, dict) or (values and name not in values):
            return False
        values = values.get(name, {})
    return True


def test_the_image_is_built_under_the_tag_that_the_chart_takes() -> None:
    """README.md and docs/install.md name the version of the chart's application."""
    chart = yaml.safe_load((ROOT / "charts/vci-webhook/Chart.yaml").read_text("utf-8"))
    for page in ("README.md", "docs/install.md"):
        tags = re.findall(r"make image IMAGE=[^:`]+:([^` ]+)`", (ROOT / page).read_text("utf-8"))
        assert tags == [chart["appVersion"]]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_example_profiles_are_clean(profile: Path) -> None:
    """``check`` finds nothing in them, but for the managed key that admission cannot honour."""
    done = CliRunner().invoke(command, ["check", str(profile)])
    assert done.exit_code == 0
    warnings = [line for line in done.output.splitlines() if "warning: " in line]
    assert [line for line in warnings if "hostIpConfig: has no effect" not in line] == []
