"""The project's pages of documentation, read for tests: sections, links, commands, and numbers that look measured."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures.md"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "meto" / "README.md"]
    + [page for page in (ROOT / "docs").glob("*.md") if page != FIGURES]
    + list((ROOT / "pretrained").glob("*/README.md"))
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# What a command of ours begins with; others (pip, apt-get, docker build) are not the project's to check.
PROGRAM = re.compile(r"(?:\w+=\S+ )*(?:python|make|accelerate|torchrun|pytest|srun|docker run)\s+\S")
UNITS = "%|times|faces/s|tokens/s|ids/s|ms|s|min|minutes|hours|h|GiB|GB|MB|kB|nats|TFLOP|million"
MEASURED = re.compile(rf"(?<![\w.-])(?:\d[\d,.]* (?:{UNITS})(?![\w/])|\d{{1,3}}\.\d+(?![\w.]))")
VERSION = re.compile(r"(?:Python|torch|version|numpy) \d[\d.]*")


class Row(NamedTuple):
    """A line of docs/figures.md: `quotes` of a page's section, and the commands that gave those figures."""

    quotes: list[str]
    page: Path
    anchor: str
    command: str
    machine: str
    date: str


def sections(page: Path) -> dict[str, str]:
    """The text below each heading, by its anchor as GitHub forms it; the page's top is that of its title."""
    found: dict[str, str] = {}
    anchor = ""
    in_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        in_code ^= line.startswith("```")
        if not in_code and (heading := re.match(r"#+ (.*)", line)):
            anchor = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, "") + line + "\n"
    return found


def prose(text: str) -> str:
    """Text without blocks and spans of code, targets of links, and versions."""
    text = CODE.sub(" ", FENCE.sub(" ", text))
    return VERSION.sub(" ", re.sub(r"\]\([^)]*\)", "]", text))


def commands(text: str) -> list[str]:
    """The project's commands in blocks of bash and in code spans, continued lines joined, comments kept."""
    found = []
    for language, block in FENCE.findall(text):
        if language == "bash":
            found += re.sub(r"\\\n\s*", " ", block).splitlines()
    found += CODE.findall(FENCE.sub("", text))
    return [line.strip() for line in found if PROGRAM.match(line.strip())]


def figure_rows() -> list[Row]:
    """The rows of all tables of docs/figures.md."""
    rows = []
    for line in FIGURES.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and not line.startswith("|---") and cells[0] != "figure":
            figure, place, command, machine, date = cells
            target, _, anchor = LINK.findall(place)[0].partition("#")
            rows.append(Row(CODE.findall(figure), (FIGURES.parent / target).resolve(), anchor, command, machine, date))
    return rows
