"""What a run leaves in its folder: meshes, ids and records, and what an earlier run has left there."""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import NamedTuple

import numpy as np

from core.data import mesh as meshes
from core.data.mesh import Mesh
from core.inference.generator import Result
from core.inference.inputs import InputFile, Task
from core.inference.names import place_in
from core.inference.prefix import read_ids
from core.inference.records import Key, Ledger, Record

PARTIAL = "_partial"  # in the names of what is not done, so that nothing takes it for a result
ENDINGS = {
    "eos": "",
    "faces": ", closed at --max_faces",
    "tokens": ", cut by the token budget before its end",
    "stopped": ", stopped before its end; run again to resume it",
}


INVALID = (
    "the model gave no numbers to choose by (NaN, or infinite): its weights do not fit it, or --dtype is too coarse"
)


class Failure(NamedTuple):
    """A file or result that came to nothing, and why."""

    name: str
    reason: str


class Output:
    """The folder of a run's results.

    Args:
        ledger: its records.
        mesh_suffix: format of the meshes.
        seed: of the first repetition.
        tell: takes each line for the user.

    Attributes:
        written: records of the meshes of this run.
        failures: what came to nothing; `num_failed` results in all.
        removed: by each step of finishing, in all.
    """

    def __init__(self, ledger: Ledger, mesh_suffix: str, seed: int, tell: Callable[[str], None]):
        self.ledger, self.folder, self.mesh_suffix = ledger, ledger.folder, mesh_suffix
        self.seed, self.tell = seed, tell
        self.written: list[Record] = []
        self.failures: list[Failure] = []
        self.num_failed = 0
        self.removed: Counter[str] = Counter()
        self._spent: dict[Key, float] = {}  # seconds that earlier runs took for what they left unfinished

    # ---- what is there

    def is_done(self, file: InputFile, repeat: int, num_faces: int) -> bool:
        """Whether there is a record that this was made, or left aside for a better one."""
        record = self.ledger.find(Key(file.name, repeat, num_faces), file.digest)
        return record is not None and record.is_done

    def has_mesh(self, file: InputFile, repeat: int, num_faces: int) -> bool:
        """Whether it was made, and the mesh is still there."""
        record = self.ledger.find(Key(file.name, repeat, num_faces), file.digest)
        return bool(record and record.is_done and record.mesh and (self.folder / record.mesh).is_file())

    def unfinished(self, task: Task) -> np.ndarray | None:
        """Ids (T,) that an interrupted run has left of this very result."""
        record = self.ledger.find(_key(task), task.source.file.digest)
        path = place_in(self.folder, f"{task.stem}{PARTIAL}_tokens.npy")
        if record is None or not record.partial or not path.is_file():
            return None
        try:
            ids = read_ids(path)
            self._spent[_key(task)] = record.seconds
            return ids
        except ValueError as error:
            self.tell(f"{task.stem} starts again: {error}")
            return None

    def why_anew(self, file: InputFile, repeat: int, num_faces: int) -> str:
        """In what a result that is there differs from what is asked for; empty where none is or nothing does."""
        record = self.ledger.newest.get(Key(file.name, repeat, num_faces))
        if record is None or record.mesh is None:
            return ""
        return self.ledger.difference(record, file.digest)

    # ---- what is made

    def write(
        self, task: Task, result: Result, partial: bool = False, distance: float | None = None, kept: bool = True
    ) -> None:
        """Write mesh and ids, then the record that says they are there.

        Args:
            task, result: what was asked for, and what came of it.
            partial: it is not done: the files are marked so, and the next run goes on with it.
            distance: to the input, where it was measured.
            kept: off: the record alone, for another mesh is better.
        """
        if result.ending == "invalid":
            self.fail(task, INVALID)
            return
        if partial and len(result.ids) == 0:
            return  # hardly begun
        if len(result.mesh.faces) == 0 and kept and not partial:
            self.fail(task, "no face was generated")
            return
        mesh = self._write_files(task, result, partial) if kept else None
        record = replace(
            self._record(task.source.file, task.repeat, task.num_faces),
            mesh=mesh,
            faces=len(result.mesh.faces),
            tokens=len(result.ids),
            ending=result.ending,
            finished=result.finished,
            partial=partial,
            seconds=round(result.seconds + self._spent.pop(_key(task), 0.0), 3),
            removed=result.removed,
            holes=result.holes,
            closed=result.closed,
            distance=distance if distance is None or isfinite(distance) else None,
        )
        self.ledger.add(record)
        if not partial:
            self._remove_files(task, and_result=not kept)
        self.written.append(record)
        self.removed.update(result.removed)
        if kept:
            ending = ENDINGS["stopped" if partial else result.ending]
            path = self.folder / (mesh or task.stem)
            self.tell(f"{path}: {record.faces} faces from {record.tokens} tokens, {record.seconds:.1f} s{ending}")

    def fail(self, task: Task, reason: str) -> None:
        """Record that one result came to nothing."""
        record = self._record(task.source.file, task.repeat, task.num_faces)
        self.ledger.add(replace(record, error=reason))
        self.num_failed += 1
        self._note(task.stem, reason)

    def fail_input(self, file: InputFile, wanted: list[tuple[int, int]], reason: str) -> None:
        """Record that nothing came of an input: of none of the (repeat, face count) that were wanted."""
        for repeat, num_faces in wanted:
            self.ledger.add(replace(self._record(file, repeat, num_faces), error=reason))
        self.num_failed += len(wanted)
        self._note(file.path.name, reason if str(file.path) in reason else f"{file.path}: {reason}")

    def _note(self, name: str, reason: str) -> None:
        self.failures.append(Failure(name, reason))
        self.tell(f"skipped {reason if name in reason else f'{name}: {reason}'}")

    def _record(self, file: InputFile, repeat: int, num_faces: int) -> Record:
        return Record(
            name=file.name,
            input=str(file.path),
            repeat=repeat,
            num_faces=num_faces,
            seed=self.seed + repeat,
            source=file.digest,
            fingerprint=self.ledger.fingerprint,
        )

    def _write_files(self, task: Task, result: Result, partial: bool) -> str | None:
        """The ids, and the mesh at its input's place and scale; returns the mesh's file, None where it has no face."""
        stem = f"{task.stem}{PARTIAL if partial else ''}"
        if len(result.ids):
            data = io.BytesIO()
            np.save(data, result.ids)
            meshes.save_bytes(place_in(self.folder, f"{stem}_tokens.npy"), data.getvalue())
        if len(result.mesh.faces) == 0:
            return None
        vertices = task.source.placement.invert(result.mesh.vertices)
        meshes.save(place_in(self.folder, f"{stem}{self.mesh_suffix}"), Mesh(vertices, result.mesh.faces))
        return f"{stem}{self.mesh_suffix}"

    def _remove_files(self, task: Task, and_result: bool) -> None:
        """Remove what this result leaves out of date: its unfinished state, and a former result that is not kept."""
        for mark in (PARTIAL, "") if and_result else (PARTIAL,):
            for end in (self.mesh_suffix, "_tokens.npy"):
                place_in(self.folder, f"{task.stem}{mark}{end}").unlink(missing_ok=True)


def _key(task: Task) -> Key:
    return Key(task.source.file.name, task.repeat, task.num_faces)
