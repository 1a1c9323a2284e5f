"""Checkpoints: folders that exist whole or not at all, and the files beside them that name the latest and the best.

    WORKSPACE/checkpoint-00001000/model.safetensors   weights, float32
                                  training.pt         optimizer, position in the data, clock (tensors and numbers only)
                                  config.json         every option and the git commit
    WORKSPACE/{model,best}.safetensors, config.json   the newest weights, and those of the lowest evaluation loss
             /ema.safetensors                         with --ema: their moving average (and `best` is one of it)

A folder is written under a temporary name, flushed to the disk and renamed, so that a process killed at any moment
leaves the last one as it was. The random state is not stored: every step seeds it from its number (see learner.py).
"""

import errno
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.training.options import RENAMED
from core.training.weights import WEIGHTS_NAME, LoadReport, load_weights, read_json, read_weights

__all__ = [
    "LoadReport",
    "changed_options",
    "check_workspace",
    "clean_leftovers",
    "git_commit",
    "latest_checkpoint",
    "load_weights",
    "lock_workspace",
    "publish",
    "read_state",
    "read_weights",
    "save_checkpoint",
    "with_earlier_commits",
    "write_json",
    "write_weights",
]

STATE_NAME = "training.pt"
CONFIG_NAME = "config.json"
BEST_NAME = "best.safetensors"
EMA_NAME = "ema.safetensors"
FOLDER = re.compile(r"checkpoint-(\d{8,})")
TEMPORARY_PREFIX = ".writing-"
KEEP = 2
LOCK_NAME = ".lock"
LOCK_PATIENCE = 60.0  # seconds

log = logging.getLogger(__name__)


def save_checkpoint(
    workspace: Path, step: int, weights: dict[str, Tensor], state: dict[str, Any], record: dict[str, Any]
) -> Path:
    """Write the checkpoint of a step, drop all but the newest; the workspace's model.safetensors becomes its weights.

    Args:
        workspace: existing folder.
        step: optimizer steps taken; a checkpoint of this step that is there already is kept as it is.
        weights: parameters and buffers by name, on the CPU.
        state: what the loop needs to continue: tensors, numbers, strings, lists and dictionaries of them.
        record: what goes to config.json.

    Raises:
        OSError: the disk is full or gone; the checkpoints already there are untouched.
    """
    final = workspace / f"checkpoint-{step:08d}"
    if not final.exists():
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=workspace))
        try:
            contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
            save_file(contiguous, temporary / WEIGHTS_NAME, metadata={"format": "pt"})
            torch.save(state, temporary / STATE_NAME)
            (temporary / CONFIG_NAME).write_text(json.dumps(record, indent=2) + "\n")
            temporary.chmod(0o755)  # mkdtemp makes it private, safetensors its file
            for file in temporary.iterdir():
                file.chmod(0o644)
                _flush(file)
            temporary.rename(final)
            _flush(workspace)
        except (OSError, RuntimeError) as error:  # safetensors and torch turn a full disk into errors of their own
            shutil.rmtree(temporary, ignore_errors=True)
            raise OSError(f"checkpoint of step {step} could not be written to {workspace}: {error}") from error
    publish(final / WEIGHTS_NAME, workspace / WEIGHTS_NAME)
    _prune(workspace)
    return final


def checkpoints(workspace: Path) -> list[Path]:
    """Checkpoint folders, the oldest first."""
    found = [(int(match[1]), path) for path in workspace.iterdir() if (match := FOLDER.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def latest_checkpoint(workspace: Path) -> Path | None:
    """The newest checkpoint folder, or None; one that somebody has taken files from is skipped with a warning."""
    for path in reversed(checkpoints(workspace) if workspace.is_dir() else []):
        lacking = [name for name in (WEIGHTS_NAME, STATE_NAME, CONFIG_NAME) if not (path / name).is_file()]
        if not lacking:
            return path
        log.warning("%s: skipped, it has no %s", path, ", ".join(lacking))
    return None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The `state` given to `save_checkpoint`.

    Raises:
        ValueError: the file is broken.
    """
    import pickle

    file = checkpoint / STATE_NAME
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file}: damaged ({reason}); remove {checkpoint} to continue from the one before") from error


def publish(source: Path, target: Path) -> None:
    """Let `target` be the file `source`, at once: a hard link where the disk has them (no space), else a copy."""
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{target.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
        _flush(temporary)
    temporary.replace(target)


def write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a file of weights whole or not at all."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    save_file({name: w.contiguous() for name, w in weights.items()}, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)
    _flush(temporary)
    temporary.replace(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    _flush(temporary)
    temporary.replace(path)


def check_workspace(workspace: Path, needed_bytes: int) -> None:
    """Make the folder and see that checkpoints can be written there, before any time is spent on training.

    Raises:
        ValueError: not a folder, not writable, or less than `needed_bytes` free.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, dir=workspace) as probe:
            probe.write(b"0" * 65536)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ValueError(f"--workspace {workspace}: cannot be written ({error.strerror or error})") from error
    free = shutil.disk_usage(workspace).free
    if free < needed_bytes:
        needs = f"checkpoints need about {needed_bytes / 2**30:.2f} GiB"
        raise ValueError(f"--workspace {workspace}: {needs}, the disk has {free / 2**30:.2f} GiB free")


def lock_workspace(workspace: Path) -> IO[str]:
    """Keep other runs out of a workspace until the returned file is closed, or the process has ended.

    Waits for a run that is just being stopped.

    Raises:
        ValueError: another run is at work there.
    """
    file = (workspace / LOCK_NAME).open("a+")
    until = time.monotonic() + LOCK_PATIENCE
    while not _try_lock(file):
        if time.monotonic() > until:
            file.seek(0)
            raise ValueError(f"--workspace {workspace}: another run is at work here ({file.read().strip() or '?'})")
        time.sleep(0.5)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}\n")
    file.flush()
    return file


def _try_lock(file: IO[str]) -> bool:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: no such locks, so no protection
        return True
    try:
        # A record lock, not flock: data workers, which are forked, must not hold it after their parent's end.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        log.warning("this file system knows no locks (%s): see that no other run uses the workspace", error)
    return True


def clean_leftovers(workspace: Path) -> None:
    """Remove what a killed process left half written or half removed."""
    for path in workspace.glob(f"{TEMPORARY_PREFIX}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def changed_options(checkpoint: Path, record: dict[str, Any]) -> list[str]:
    """`name old -> new` of every option that is not as it was when the checkpoint was written."""
    before = _flat(read_json(checkpoint / CONFIG_NAME))
    now = _flat(json.loads(json.dumps(record)))
    for old, new in RENAMED.items():
        old, new = f"options.train.{old}", f"options.train.{new}"
        if old in before:
            before[new] = before.pop(old)
    names = [name for name in {**before, **now} if name.startswith("options.") and before.get(name) != now.get(name)]
    return [f"{name.removeprefix('options.')} {before.get(name)} -> {now.get(name)}" for name in names]


def with_earlier_commits(record: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """The record of a run that continues `checkpoint`: `earlier_commits` names the other code that trained it before.

    Args:
        record: with the `commit` of the code that runs now.
        checkpoint: a folder whose config.json is such a record.
    """
    before = json.loads((checkpoint / CONFIG_NAME).read_text())
    commits = dict.fromkeys([*before.get("earlier_commits", []), before.get("commit")])
    others = [commit for commit in commits if commit != record["commit"]]
    return {**record, "earlier_commits": others} if others else record


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return leaves


def git_commit() -> str | None:
    """Commit of the code that runs, with `-dirty` where files differ from it; None outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _prune(workspace: Path) -> None:
    for path in checkpoints(workspace)[:-KEEP]:
        # Under its own name a half-removed folder would look like a damaged checkpoint.
        doomed = path.with_name(f"{TEMPORARY_PREFIX}removed-{path.name}")
        path.rename(doomed)
        shutil.rmtree(doomed)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
