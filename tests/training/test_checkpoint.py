"""Checkpoint folders: whole or not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.training import checkpoint

WEIGHTS = {"w": torch.arange(3.0)}
STATE = {"optimizer": {"m": torch.ones(2)}, "position": {"step": 7, "best": float("inf")}}


def save(workspace, step):
    return checkpoint.save_checkpoint(workspace, step, WEIGHTS, STATE, {"lr": 1e-4})


def test_round_trip(tmp_path):
    folder = save(tmp_path, 7)
    assert folder == tmp_path / "checkpoint-00000007" == checkpoint.latest_checkpoint(tmp_path)
    state = checkpoint.read_state(folder)
    assert state["position"] == STATE["position"]
    assert torch.equal(state["optimizer"]["m"], torch.ones(2))
    assert json.loads((folder / "config.json").read_text()) == {"lr": 1e-4}
    assert torch.equal(load_file(tmp_path / "model.safetensors")["w"], WEIGHTS["w"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-00000007", "model.safetensors"]


def test_changed_options_know_the_old_names(tmp_path):
    before = {"options": {"train": {"lr": 0.5, "allow_misfit": False}}}
    now = {"options": {"train": {"lr": 0.25, "ignore_memory_check": False}}}
    folder = checkpoint.save_checkpoint(tmp_path, 1, WEIGHTS, STATE, before)
    assert checkpoint.changed_options(folder, now) == ["train.lr 0.5 -> 0.25"]


def test_the_two_newest_are_kept(tmp_path):
    for step in (2, 10, 9):
        save(tmp_path, step)
    assert [p.name[-2:] for p in checkpoint.checkpoints(tmp_path)] == ["09", "10"]


def test_steps_beyond_eight_digits_sort_as_numbers(tmp_path):
    for step in (99_999_999, 100_000_000):
        save(tmp_path, step)
    assert checkpoint.latest_checkpoint(tmp_path).name == "checkpoint-100000000"


@pytest.mark.parametrize("lost", ["model.safetensors", "training.pt", "config.json"])
def test_a_plundered_checkpoint_is_skipped(tmp_path, lost, caplog):
    save(tmp_path, 1)
    (save(tmp_path, 2) / lost).unlink()
    assert checkpoint.latest_checkpoint(tmp_path).name == "checkpoint-00000001"
    assert lost in caplog.text


def test_no_run_here(tmp_path):
    assert checkpoint.latest_checkpoint(tmp_path) is None
    assert checkpoint.latest_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("keep", [0, 100])
def test_damaged_state(tmp_path, keep):
    folder = save(tmp_path, 1)
    file = folder / "training.pt"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match="training.pt: damaged"):
        checkpoint.read_state(folder)


@pytest.mark.parametrize("failing", ["save_file", "_flush", "torch.save"])
def test_killed_while_writing(tmp_path, failing, monkeypatch):
    """Whatever moment a process dies at, the newest checkpoint is the one before; leftovers go at the next start."""

    class DeadError(BaseException):
        pass

    def die(*_args, **_kwargs):
        raise DeadError

    save(tmp_path, 1)
    with monkeypatch.context() as patch:
        owner, name = (torch, "save") if failing == "torch.save" else (checkpoint, failing)
        patch.setattr(owner, name, die)
        with pytest.raises(DeadError):
            save(tmp_path, 2)
    assert checkpoint.latest_checkpoint(tmp_path).name == "checkpoint-00000001"
    assert list(tmp_path.glob(".writing-*"))
    checkpoint.clean_leftovers(tmp_path)
    assert not list(tmp_path.glob(".writing-*"))
    assert save(tmp_path, 2).is_dir()


def test_publishing_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(checkpoint.os, "link", refuse)
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    checkpoint.publish(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"


def test_changed_options_are_named(tmp_path):
    before = {"commit": "a", "options": {"lr": 1e-4, "model": {"dim": 8, "sizes": (1, 2)}, "gone": 1}}
    folder = checkpoint.save_checkpoint(tmp_path, 1, WEIGHTS, STATE, before)
    assert not checkpoint.changed_options(folder, {**before, "commit": "b"})
    after = {"options": {"lr": 2e-4, "model": {"dim": 8, "sizes": (1, 3)}}}
    texts = ["lr 0.0001 -> 0.0002", "model.sizes [1, 2] -> [1, 3]", "gone 1 -> None"]
    assert checkpoint.changed_options(folder, after) == texts


def test_two_runs_in_one_workspace(tmp_path, monkeypatch):
    """The second waits for the first to go, for a while. (Another process: a process does not lock itself out.)"""
    code = "import sys; from pathlib import Path; from core.training.checkpoint import lock_workspace; "
    code += "f = lock_workspace(Path(sys.argv[1])); print('mine', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": Path(__file__).parents[2], "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == "mine\n"
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "LOCK_PATIENCE", 0.1)
            with pytest.raises(ValueError, match=f"another run is at work here .process {other.pid} on "):
                checkpoint.lock_workspace(tmp_path)
        other.stdin.close()
        checkpoint.lock_workspace(tmp_path).close()


def test_commit_is_that_of_the_code(tmp_path, monkeypatch):
    """In a repository of its own: the commit, `-dirty` once a file of it differs; nothing outside of one."""
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "code.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert checkpoint.git_commit() is None

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init")
    (tmp_path / "code.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD").strip()
    assert checkpoint.git_commit() == commit
    (tmp_path / "code.py").write_text("2")
    assert checkpoint.git_commit() == commit + "-dirty"


def test_a_run_names_all_the_code_that_trained_it(tmp_path):
    """Begun with a change that was committed only later, it says so for ever."""
    folders = []
    for step, commit in enumerate(["a-dirty", "a-dirty", "a", "b", "a"]):
        record = {"commit": commit}
        record = checkpoint.with_earlier_commits(record, folders[-1]) if folders else record
        folders.append(checkpoint.save_checkpoint(tmp_path, step, WEIGHTS, STATE, record))
        assert record.get("earlier_commits", []) == [[], [], ["a-dirty"], ["a-dirty", "a"], ["a-dirty", "b"]][step]
