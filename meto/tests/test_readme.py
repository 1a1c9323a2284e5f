"""The README's examples run as they stand, one after the other."""

import re
from pathlib import Path

import pytest

from meto.cli import parser

METO = Path(__file__).parents[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (METO / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_python_examples(monkeypatch, capsys):
    pytest.importorskip("trimesh")
    monkeypatch.chdir(METO)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    printed = capsys.readouterr().out
    assert "284 faces, 1208 tokens" in printed
    assert "token 100" in printed
    assert "8 meshes, 9664 tokens" in printed


def test_commands_are_understood():
    commands = re.findall(r"^python -m meto (.*?)(?: +#.*)?$", "\n".join(blocks("bash")), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        parser().parse_args(command.split())
