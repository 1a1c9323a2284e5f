"""Errors as one line; threads."""

import pytest
import torch

from core import cli


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ValueError("--lr -1.0: a positive number is needed"), 1, "error: --lr -1.0: a positive number is needed\n"),
        (FileNotFoundError("gone"), 1, "error: gone\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_are_one_line(error, code, text, capsys):
    def main():
        raise error

    assert cli.run(main) == code
    assert capsys.readouterr().err == text


def test_exit_codes_pass_and_programming_errors_show():
    assert cli.run(lambda: None) == 0
    assert cli.run(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 // 0)


def test_processes_but_the_first_say_who_they_are(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "3")
    cli.run(lambda: cli.require("", "--test_path", "a mesh"))
    assert capsys.readouterr().err == "[process 3] error: --test_path is needed: a mesh\n"


@pytest.mark.parametrize(
    ("asked", "environment", "threads"),
    [
        (3, {"OMP_NUM_THREADS": "2"}, 3),
        (0, {"OMP_NUM_THREADS": "2"}, 2),
        (0, {}, 7),
        (0, {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4", "OMP_NUM_THREADS": "1"}, 1),
        (0, {"ACCELERATE_MIXED_PRECISION": "bf16", "OMP_NUM_THREADS": "1"}, 7),
        (0, {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "8"}, 1),
    ],
)
def test_threads(asked, environment, threads, monkeypatch):
    names = ("OMP_NUM_THREADS", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "ACCELERATE_MIXED_PRECISION")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli, "usable_cores", lambda: 8)
    before = torch.get_num_threads()
    try:
        assert cli.use_threads(asked) == threads == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
