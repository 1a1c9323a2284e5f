"""Outcomes to a set on disk: Parquet shards, a journal of what has been done, a manifest of how.

    manifest.json         options and versions; is what makes a folder a prepared set
    data/SPLIT-NNNNN.parquet   meshes
    journal/NNNNN.jsonl   every input of that shard, and what became of it
    README.md             the card that `datasets` and the hub read the splits from

A shard is closed after a fixed number of inputs or bytes, in the inputs' order, and counts from the moment that its
journal is there: what a killed run leaves beyond that is written again. So bytes depend on inputs and options alone.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from core.data.mesh import save_bytes
from core.data.prepare.inputs import Item
from core.data.prepare.options import Task
from core.data.prepare.rules import REASONS
from core.data.prepare.signature import Seen
from core.data.prepare.worker import Outcome, Row
from core.data.sources import is_test

FORMAT = "edgerunner-meshes"
VERSION = 1
SHARD_BYTES = 256 << 20
ROW_GROUP = 256
SPLITS = ("train", "test")
GENERATED = ("data", "journal", "manifest.json", "README.md", "report.html", "rejected.jsonl")


class Store:
    """A set being made.

    Attributes:
        done: name -> stamp of every input that the set has an answer for.
        counts: what became of inputs, by reason; "kept", "train" and "test" count meshes.

    Raises ValueError where the folder holds something else, or a set of other options.
    """

    def __init__(self, folder: str | Path, task: Task, src: str, restart: bool = False):
        self.folder, self.task, self.src = Path(folder), task, src
        if restart:
            self._clear()
        self.done: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._digests: dict[str, str] = {}
        self._seen = Seen()
        self._inputs: list[dict[str, Any]] = []
        self._rows: dict[str, list[tuple[Row, Item]]] = {split: [] for split in SPLITS}
        self._bytes = 0
        self.shards = 0
        self._metadata = _read_metadata(task.content.metadata)
        self._open()

    # ------------------------------------------------------------------ going on

    def _open(self) -> None:
        manifest = self.folder / "manifest.json"
        if manifest.is_file():
            self._check_same(json.loads(manifest.read_text()))
            self._recall()
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise ValueError(f"{self.folder}: is not empty and holds no prepared set; give a folder of its own")
        for sub in ("data", "journal"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        if not manifest.is_file():
            save_bytes(manifest, _json(self.manifest(complete=False)))

    def _check_same(self, manifest: dict[str, Any]) -> None:
        if manifest.get("format") != FORMAT:
            raise ValueError(f"{self.folder}/manifest.json: not of a prepared set")
        ours, theirs = _flat(self.manifest(False)["options"]), _flat(manifest["options"])
        changed = [
            f"{k} {theirs.get(k)} (now {ours.get(k)})" for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)
        ]
        if changed or manifest["version"] != VERSION:
            what = ", ".join(changed) or f"version {manifest['version']}"
            raise ValueError(f"{self.folder}: was prepared with {what}; take the same, another folder, or --restart")

    def _recall(self) -> None:
        import pyarrow.parquet as pq

        journals = sorted((self.folder / "journal").glob("*.jsonl"))
        self.shards = len(journals)
        for journal in journals:
            for line in journal.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self.done[entry["name"]] = entry["stamp"]
                if entry["digest"]:
                    self._digests.setdefault(entry["digest"], entry["name"])
                self.counts.update(reason for reason, _ in entry["rejected"])
        for split in SPLITS:
            for k in range(self.shards):
                shard = self._shard(split, k)
                if shard.is_file():
                    table = pq.read_table(shard, columns=["name", "num_vertices", "num_faces", "signature"])
                    self.counts.update({"kept": len(table), split: len(table)})
                    for row in table.to_pylist():
                        size = row["num_vertices"], row["num_faces"]
                        self._seen.add(size, np.array(row["signature"], np.float32), row["name"])

    def _clear(self) -> None:
        if not self.folder.is_dir():
            return
        if any(self.folder.iterdir()) and not (self.folder / "manifest.json").is_file():
            raise ValueError(f"{self.folder}: holds no prepared set; --restart deletes nothing else")
        for name in GENERATED:
            place = self.folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)

    # ------------------------------------------------------------------ adding

    def add(self, item: Item, outcome: Outcome) -> None:
        """The next input's outcome; duplicates of what is there already become rejections here."""
        rows = self._without_duplicates(item, outcome)
        rejected = outcome.rejected
        self.counts.update(reason for reason, _ in rejected)
        split = SPLITS[bool(outcome.digest) and is_test(outcome.digest)]
        for row in rows:
            self._rows[split].append((row, item))
            self._bytes += row.mesh.vertices.nbytes + row.mesh.faces.nbytes + sum(len(view) for view, _ in row.views)
        self.counts.update({"kept": len(rows), split: len(rows)})
        self.done[item.name] = item.stamp
        self._inputs.append(
            {
                "name": item.name,
                "stamp": item.stamp,
                "digest": outcome.digest,
                "kept": [row.uid for row in rows],
                "rejected": [list(pair) for pair in rejected],
            }
        )
        if len(self._inputs) >= self.task.content.shard_size or self._bytes >= SHARD_BYTES:
            self.flush()

    def _without_duplicates(self, item: Item, outcome: Outcome) -> list[Row]:
        """The rows that are new; the others' reasons are added to the outcome."""
        mode = self.task.rules.duplicates
        if mode == "keep":
            return outcome.rows
        if outcome.digest:
            first = self._digests.setdefault(outcome.digest, item.name)
            if first != item.name and outcome.rows:
                outcome.rejected.append(("duplicate", f"the same bytes as {first}"))
                return []
        if mode == "drop-equal":
            return outcome.rows
        kept = []
        for row in outcome.rows:
            size = len(row.mesh.vertices), len(row.mesh.faces)
            twin = self._seen.find(size, row.signature)
            if twin is None:
                self._seen.add(size, row.signature, row.name)
                kept.append(row)
            else:
                outcome.rejected.append(("near-duplicate", f"of {twin}"))
        return kept

    def flush(self) -> None:
        """Close the shard: its meshes, then the journal that makes them count."""
        if not self._inputs:
            return
        import pyarrow.parquet as pq

        for split, rows in self._rows.items():
            if rows:
                shard = self._shard(split, self.shards)
                temporary = shard.with_name(f".{shard.name}.tmp")
                pq.write_table(self._table(rows), temporary, compression="zstd", row_group_size=ROW_GROUP)
                os.replace(temporary, shard)
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in self._inputs)
        save_bytes(self.folder / "journal" / f"{self.shards:05d}.jsonl", lines.encode())
        self.shards += 1
        self._inputs, self._rows, self._bytes = [], {split: [] for split in SPLITS}, 0

    def _shard(self, split: str, number: int) -> Path:
        return self.folder / "data" / f"{split}-{number:05d}.parquet"

    def _table(self, rows: list[tuple[Row, Item]]) -> Any:
        import pyarrow as pa

        schema = features(bool(self.task.content.views)).arrow_schema
        columns: dict[str, Any] = {name: [] for name in schema.names}
        for row, item in rows:
            for name, value in self._fields(row, item).items():
                columns[name].append(value)
        arrays = [_column(columns[name], schema.field(name).type) for name in schema.names]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _fields(self, row: Row, item: Item) -> dict[str, Any]:
        extra = self._metadata.get(item.name) or self._metadata.get(item.name.rsplit(".", 1)[0]) or {}
        fields = {
            "uid": row.uid,
            "name": row.name,
            "source": extra.get("source") or item.source or self.task.content.source,
            "licence": extra.get("licence") or extra.get("license") or item.licence or self.task.content.licence,
            "num_vertices": len(row.mesh.vertices),
            "num_faces": len(row.mesh.faces),
            "num_components": row.measures.components,
            "num_grid_faces": row.measures.grid_faces,
            "num_tokens": row.measures.tokens,
            "signature": row.signature,
            "vertices": row.mesh.vertices,
            "faces": row.mesh.faces,
            "colors": row.colors,
        }
        if self.task.content.views:
            fields["views"] = [{"bytes": picture, "path": None} for picture, _ in row.views]
            fields["view_angles"] = np.array([angles for _, angles in row.views], np.float32)
        return fields

    # ------------------------------------------------------------------ ending

    def finish(self, passed_over: Counter[str]) -> None:
        """Close the last shard; write the list of rejected files, the card, and the manifest of a complete set."""
        self.flush()
        lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in self.rejected())
        save_bytes(self.folder / "rejected.jsonl", "".join(lines).encode())
        save_bytes(self.folder / "README.md", self._card().encode())
        save_bytes(self.folder / "manifest.json", _json(self.manifest(complete=True, passed_over=passed_over)))

    def rejected(self) -> Iterator[dict[str, str]]:
        """Name, reason and detail of everything that is not in the set, in the order of the inputs."""
        for entry in self.entries():
            for reason, detail in entry["rejected"]:
                yield {"name": entry["name"], "reason": reason, "detail": detail}

    def entries(self) -> Iterator[dict[str, Any]]:
        for journal in sorted((self.folder / "journal").glob("*.jsonl")):
            for line in journal.read_text(encoding="utf-8").splitlines():
                yield json.loads(line)

    def manifest(self, complete: bool, passed_over: Counter[str] | None = None) -> dict[str, Any]:
        options = {"src": self.src, **asdict(self.task)}
        del options["limits"]  # they decide whether a file is waited for, not what a mesh looks like
        record: dict[str, Any] = {"format": FORMAT, "version": VERSION, "meto": version("meto"), "complete": complete}
        record["options"] = options
        if complete:
            record["inputs"] = len(self.done)
            record["meshes"] = {split: self.counts[split] for split in SPLITS}
            record["rejected"] = {reason: self.counts[reason] for reason in REASONS if self.counts[reason]}
            record["passed_over"] = dict(sorted((passed_over or Counter()).items()))
            record["limits"] = asdict(self.task.limits)
        return record

    def _card(self) -> str:
        patterns = "".join(
            f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in SPLITS if self.counts[split]
        )
        header = f"---\nconfigs:\n- config_name: default\n  data_files:\n{patterns}---\n"
        table = "".join(f"| {name} | {what} |\n" for name, what in COLUMNS.items())
        return (
            f"{header}\n# Prepared meshes\n\n{self.counts['train']:,} triangle meshes to train on and "
            f"{self.counts['test']:,} to test on, made by `prepare.py` from `{self.src}`; options in `manifest.json`, "
            f"pictures and reasons of rejection in `report.html`.\n\n| column | content |\n|---|---|\n{table}"
        )


COLUMNS = {
    "uid": "hash of the file's bytes (and the component's number, where a file was split); decides the split",
    "name": "of the file below its source",
    "source": "where it comes from",
    "licence": "of the file, if known",
    "num_vertices, num_faces, num_components": "of the clean mesh",
    "num_grid_faces, num_tokens": "faces left, and tokens written, at the tokenizer's grid of the manifest",
    "signature": "of the near-duplicate search",
    "vertices": "(V, 3) float32; longest side from -0.95 to 0.95, y up",
    "faces": "(F, 3) int32, counter-clockwise from outside",
    "colors": "(F, 3) uint8 of each face, or null",
    "views, view_angles": "pictures (PNG with alpha), if asked for; (azimuth, elevation) of each in degrees",
}


def features(views: bool) -> Any:
    """The columns, as `datasets` knows them."""
    from datasets import Features, Image, List, Value

    columns: dict[str, Any] = {name: Value("string") for name in ("uid", "name", "source", "licence")}
    for name in ("num_vertices", "num_faces", "num_components", "num_grid_faces", "num_tokens"):
        columns[name] = Value("int32")
    columns["signature"] = List(Value("float32"))
    columns["vertices"] = List(List(Value("float32"), length=3))
    columns["faces"] = List(List(Value("int32"), length=3))
    columns["colors"] = List(List(Value("uint8"), length=3))
    if views:
        columns["views"] = List(Image())
        columns["view_angles"] = List(List(Value("float32"), length=2))
    return Features(columns)


def _column(values: list[Any], kind: Any) -> Any:
    """An Arrow array; arrays of numbers are joined without a Python object a number."""
    import pyarrow as pa

    if not pa.types.is_list(kind) or pa.types.is_struct(kind.value_type):
        return pa.array(values, kind)
    offsets = np.cumsum([0, *(0 if v is None else len(v) for v in values)], dtype=np.int32)
    flat = np.concatenate([np.ravel(v) for v in values if v is not None] or [np.zeros(0)])
    inner = kind.value_type
    if pa.types.is_fixed_size_list(inner):
        content = pa.FixedSizeListArray.from_arrays(pa.array(flat, inner.value_type), inner.list_size)
    else:
        content = pa.array(flat, inner)
    missing = pa.array([v is None for v in values])
    return pa.ListArray.from_arrays(pa.array(offsets), content, mask=missing).cast(kind)


def _read_metadata(path: str) -> dict[str, dict[str, str]]:
    if not path:
        return {}
    known = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            known[str(entry["name"])] = entry
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"--metadata {path}: line {number} is no JSON object with a name ({error})") from error
    return known


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    """{"rules": {"max_faces": 1}} -> {"max_faces": 1}."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        flat.update(_flat(value) if isinstance(value, dict) else {f"--{name}" if name != "src" else name: value})
    return flat


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def new_items(items: Iterable[Item], done: dict[str, str]) -> tuple[list[Item], int]:
    """The inputs that the set has no answer for yet, and how many of them it knew with another content."""
    fresh = [item for item in items if done.get(item.name) != item.stamp]
    return fresh, sum(item.name in done for item in fresh)
