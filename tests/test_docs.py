"""The documentation against the project: links, pictures, commands, and where each figure comes from."""

import datetime
import re
from pathlib import Path

import pytest

from tests.doc_commands import check
from tests.doc_pages import CODE, FIGURES, LINK, MEASURED, PAGES, PROGRAM, ROOT, commands, figure_rows, prose, sections

NOT_RECORDED = "not recorded"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [*PAGES, FIGURES], ids=name)
def test_links_and_pictures_exist(page):
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target}: no such file"
        assert not anchor or anchor in sections(found), f"{target}: no such section"


@pytest.mark.parametrize("page", [*PAGES, FIGURES], ids=name)
def test_commands_are_understood(page):
    for command in commands(page.read_text(encoding="utf-8")):
        try:
            check(command)
        except ValueError as error:
            pytest.fail(f"{command}\n{error}", pytrace=False)


@pytest.mark.parametrize(
    "command",
    [
        "python nothing.py",
        "python -m core.nothing",
        "python main.py ArAE-huge",
        "python main.py ArAE-tiny --no_such_option 3",
        "python infer.py ArAE-tiny --top_k many",
        "python evaluate.py out meshes/ --no_such_option",
        "python evaluate.py ArAE-tiny shapes:10 --no_such_option",
        "python prepare.py meshes/ sets/mine --min_faces few",
        "python benchmarks/meto.py --no-such-option",
        "python benchmarks/dit.py ArAE-tiny --resume a --resume2 b",
        "python benchmarks/estimate.py ArAE --no_such_option",
        "python -m core.training.export workspace",
        "python -m meto encode --no-such-option",
        "make nothing",
        "pytest tests/test_nothing.py",
        "pytest tests/test_docs.py -k no_such_" + "test",
        "accelerate launch --config_file acc_configs/nothing.yaml main.py ArAE",
        "accelerate launch --no_such_option main.py ArAE",
        "torchrun --nproc-per-node 2 infer.py ArAE --no_such_option",
        "srun bash -c 'accelerate launch main.py ArAE-huge'",
    ],
)
def test_wrong_commands_are_refused(command):
    assert PROGRAM.match(command)
    with pytest.raises(ValueError, match=r"."):
        check(command)


@pytest.mark.parametrize("row", figure_rows(), ids=lambda row: f"{name(row.page)}#{row.anchor}: {row.quotes[:1]}")
def test_figures_stand_where_the_list_says(row):
    section = sections(row.page).get(row.anchor)
    assert section is not None, f"{row.anchor}: no such section"
    assert row.quotes
    text = " ".join(section.split())
    for quote in row.quotes:
        assert re.search(rf"(?<![\w.]){re.escape(quote)}(?![\w])", text), f"{quote}: not in this section (any more)"


@pytest.mark.parametrize("row", figure_rows(), ids=lambda row: f"{name(row.page)}#{row.anchor}: {row.quotes[:1]}")
def test_figures_have_command_machine_and_date(row):
    known = [span for span in CODE.findall(row.command) if PROGRAM.match(span)]
    assert known or row.command.startswith((NOT_RECORDED, "none: ")), row.command
    assert row.machine
    if row.date != NOT_RECORDED:
        datetime.date.fromisoformat(row.date)


# Sections whose numbers are settings, definitions or examples.
NOT_FIGURES = {
    "docs/data.md#prepare",
    "docs/data.md#rules",
    "docs/data.md#views",
    "docs/data.md#what-the-set-holds",
    "docs/evaluate.md#evaluate",
    "docs/evaluate.md#sets",
    "docs/evaluate.md#the-figures",
    "docs/generate.md#choosing-among-several-meshes",
    "docs/generate.md#finishing",
    "docs/image-to-mesh.md#pictures",
    "docs/train.md#data",
}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_section_with_figures_is_listed(page):
    listed = {row.anchor for row in figure_rows() if row.page == page}
    for anchor, text in sections(page).items():
        if f"{name(page)}#{anchor}" not in NOT_FIGURES and anchor not in listed:
            found = MEASURED.findall(prose(text))
            assert not found, f"{name(page)}#{anchor}: {found} are neither listed in docs/figures.md nor exempt"


def test_exempt_sections_exist():
    there = {f"{name(page)}#{anchor}" for page in PAGES for anchor in sections(page)}
    assert there >= NOT_FIGURES
