"""What a folder of results says of itself: `results.jsonl`, a line for each mesh, and `runs.jsonl`, one for each run.

Lines are appended as results are written, by all processes to the same file; of a mesh made several times the newest
line counts. A run's fingerprint stands for all that a mesh follows from besides its input.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from torch import nn

from core.data.mesh import check_file

RESULTS, RUNS = "results.jsonl", "runs.jsonl"
SAMPLED_VALUES = 256  # of each parameter, for the digest of weights


class Key(NamedTuple):
    """What a result is called by."""

    name: str
    repeat: int
    num_faces: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """A line of `results.jsonl`."""

    name: str
    """Of the input, and the beginning of the names of its files."""
    input: str
    """Path of the input."""
    repeat: int
    num_faces: int
    """Faces asked for; -1: left to the model."""
    seed: int
    mesh: str | None = None
    """File of the mesh, in the same folder; null: none was written (an error, or --keep best kept another)."""
    faces: int = 0
    tokens: int = 0
    ending: str | None = None
    """eos: by itself; faces, tokens: at that budget; stopped: by Ctrl-C, SIGTERM or --time_limit. (A mesh at which the
    model gave no numbers has an error instead.)"""
    finished: bool = False
    partial: bool = False
    """The run stopped before this mesh was done; the next run goes on with it."""
    seconds: float = 0.0
    """From the mesh's begin to its end, beside the others of the batch; of all runs that worked on it."""
    removed: dict[str, int] | None = None
    """By each step of finishing: vertices, faces, or (orient) faces turned; fill: faces added; snap: vertices moved."""
    holes: int | None = None
    """Rims left open (--report_holes, or where --close did not succeed)."""
    closed: bool | None = None
    """Whether manifold3d takes it for a closed manifold (--close)."""
    distance: float | None = None
    """Two-sided Chamfer distance to the input points in the model's frame (--keep best)."""
    error: str | None = None
    source: str = ""
    """Digest of the input file."""
    fingerprint: str = ""
    """Of the options and weights; `runs.jsonl` says which."""

    @property
    def key(self) -> Key:
        return Key(self.name, self.repeat, self.num_faces)

    @property
    def is_done(self) -> bool:
        return not self.partial and self.error is None


class Ledger:
    """The records of a folder, and what this run is.

    Args:
        folder: of the results.
        options: all that a result follows from besides its input, by name.

    Attributes:
        newest: the newest record of each result.
        fingerprint: of the options.
    """

    def __init__(self, folder: Path, options: dict[str, Any]):
        self.folder = folder
        self.options = json.loads(json.dumps(options, default=str))
        self.fingerprint = hashlib.sha256(json.dumps(self.options, sort_keys=True).encode()).hexdigest()[:12]
        self.runs = {run["fingerprint"]: run["options"] for run in _lines(folder / RUNS) if "options" in run}
        self.newest: dict[Key, Record] = {}
        self.read()
        if self.fingerprint not in self.runs:
            command = " ".join(sys.argv)
            append_line(folder / RUNS, {"fingerprint": self.fingerprint, "command": command, "options": self.options})

    def read(self) -> None:
        """Take in what other processes have written."""
        self.newest = {record.key: record for record in read_records(self.folder)}

    def add(self, record: Record) -> None:
        self.newest[record.key] = record
        append_line(self.folder / RESULTS, asdict(record))

    def find(self, key: Key, source: str) -> Record | None:
        """The record of a result if it was made of this very input with these options and weights."""
        record = self.newest.get(key)
        same = record is not None and (record.fingerprint, record.source) == (self.fingerprint, source)
        return record if same else None

    def difference(self, record: Record, source: str) -> str:
        """Why a record is not of this input, these options and these weights: `--top_k 10 (5 now)`."""
        if record.fingerprint == self.fingerprint:
            return "another content of the input" if record.source != source else ""
        before = self.runs.get(record.fingerprint)
        if before is None:
            return "other options"
        names = [name for name in {**before, **self.options} if before.get(name) != self.options.get(name)]
        return ", ".join(
            name if name.endswith("digest") else f"--{name} {before.get(name)} ({self.options.get(name)} now)"
            for name in names
        )


def read_records(folder: Path) -> list[Record]:
    """The lines of a folder's `results.jsonl`, oldest first; keys unknown here are passed over."""
    known = {field.name for field in fields(Record)}
    needed = {"name", "input", "repeat", "num_faces", "seed"}
    lines = (line for line in _lines(folder / RESULTS) if needed <= line.keys())
    return [Record(**{name: value for name, value in line.items() if name in known}) for line in lines]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a file of JSON lines; a line that a killed process left half written is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            if isinstance(value := json.loads(line), dict):
                yield value


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append one line of JSON, whole and by itself, whoever else appends to the file."""
    data = (json.dumps(value) + "\n").encode()
    with open(path, "a+b", buffering=0) as file, _locked(file):
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":  # a process was killed while it wrote
                data = b"\n" + data
        file.write(data)
        os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """Alone with the file: appending is not atomic between the hosts of a network file system."""
    try:
        import fcntl
    except ImportError:  # Windows, where one process appends at a time or takes its chance
        yield
        return
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.lockf(file, fcntl.LOCK_EX)
    yield  # closing the file unlocks it


def flat_options(*parts: Any) -> dict[str, Any]:
    """The leaf options of dataclasses by their names, which are unique whatever part they belong to."""
    found: dict[str, Any] = {}
    for part in parts:
        for field in fields(part):
            value = getattr(part, field.name)
            found |= flat_options(value) if is_dataclass(value) else {field.name: value}
    return found


def weights_digest(model: nn.Module) -> str:
    """Digest of a model's weights by values spread over each parameter, so that no stretch of training goes unseen.

    The values are rounded to bf16, so that it is the same whether they were loaded in full or half precision.
    """
    digest = hashlib.sha256()
    for name, values in sorted(model.state_dict().items()):
        flat = values.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // SAMPLED_VALUES)].bfloat16().float().cpu().numpy()
        digest.update(f"{name} {tuple(values.shape)}".encode())
        digest.update(some.tobytes())
    return digest.hexdigest()[:12]


def file_digest(path: Path) -> str:
    """Digest of a file's bytes.

    Raises:
        ValueError: it is no regular file.
        OSError: it cannot be read.
    """
    check_file(path)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]
