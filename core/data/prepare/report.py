"""A page about a prepared set: what it holds, what was left out and why, and what it looks like.

One file without scripts or links. It is made from the shards and the journal, so it also tells of earlier runs.
"""

import html
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from core.data.mesh import Mesh, save_bytes
from core.data.page import histogram, image, options_list, page, short, tiles
from core.data.prepare.rules import REASONS

EXAMPLES = 6  # of each reason
PICTURED = 36
PICTURE_SIZE = 220
COLUMNS = 6

LEGEND = "".join(
    f"<span class=key style='--c: var({color})'>{what}</span>"
    for color, what in (("--bar", "all"), ("--test", "of these, to test on"))
)


def write_report(folder: str | Path) -> None:
    """Write FOLDER/report.html. The same set gives the same bytes on the same machine."""
    folder = Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    facts, tests = _read_facts(folder)
    sections = [
        _tiles(manifest, facts),
        f"<section><h2>Meshes{LEGEND}</h2><div class=charts>{_charts(facts, tests)}</div></section>",
        _sheet(folder, facts),
        _rejections(folder, manifest),
        _options(manifest),
    ]
    src = manifest["options"]["src"]
    written = page(src, "Prepared meshes", f"from <code>{html.escape(src)}</code>", sections)
    save_bytes(folder / "report.html", written.encode())


def _read_facts(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns of numbers over all shards with `shard` and `row` of each mesh, and (n,) which are tests."""
    import pyarrow.parquet as pq

    names = ["uid", "name", "num_vertices", "num_faces", "num_components", "num_grid_faces", "num_tokens"]
    columns: dict[str, list[Any]] = defaultdict(list)
    shards = sorted((folder / "data").glob("*.parquet"))
    for k, shard in enumerate(shards):
        table = pq.read_table(shard, columns=names)
        for name in names:
            columns[name].append(table.column(name).to_numpy())
        columns["shard"].append(np.full(len(table), k))
        columns["row"].append(np.arange(len(table)))
    facts = {name: np.concatenate(parts) for name, parts in columns.items()}
    is_test = np.array([shard.name.startswith("test") for shard in shards])
    return facts, is_test[facts["shard"]]


def _tiles(manifest: dict[str, Any], facts: dict[str, np.ndarray]) -> str:
    rejected = sum(manifest["rejected"].values())
    counted = [
        (manifest["inputs"], "inputs"),
        (len(facts["uid"]), "meshes kept"),
        (rejected, "rejected"),
        (manifest["meshes"]["train"], "to train on"),
        (manifest["meshes"]["test"], "to test on"),
        (int(facts["num_faces"].sum()), "faces"),
        (int(facts["num_tokens"].astype(np.int64).sum()), "tokens"),
    ]
    return tiles([(short(n), what) for n, what in counted])


def _charts(facts: dict[str, np.ndarray], tests: np.ndarray) -> str:
    faces, tokens = facts["num_faces"], facts["num_tokens"]
    lost = 100 * (1 - facts["num_grid_faces"] / faces)
    charts = [
        ("Faces", faces, True),
        ("Tokens per face", tokens / np.maximum(facts["num_grid_faces"], 1), False),
        ("Tokens", tokens, True),
        ("Vertices", facts["num_vertices"], True),
        ("Connected components", facts["num_components"], True),
        ("Faces lost, %", lost, False),
    ]
    return "".join(histogram(title, values, tests, log) for title, values, log in charts)


def _sheet(folder: Path, facts: dict[str, np.ndarray]) -> str:
    """Pictures of randomly chosen meshes: those of the smallest uids, which are hashes."""
    from core.data.render import contact_sheet, render

    chosen = np.argsort(facts["uid"].astype(str))[:PICTURED]
    chosen = chosen[np.lexsort((facts["uid"][chosen].astype(str), facts["num_faces"][chosen]))]
    pictures: list[np.ndarray | None] = []
    labels: list[str] = []
    for index in chosen.tolist():
        mesh, colors = _read_mesh(folder, int(facts["shard"][index]), int(facts["row"][index]))
        pictures.append(render(mesh, PICTURE_SIZE, color=None if colors is None else colors.astype(np.float32) / 255))
        labels.append(f"{Path(str(facts['name'][index])).stem}  {facts['num_faces'][index]} faces")
    cut = range(0, len(pictures), COLUMNS)
    sheet = contact_sheet([pictures[k : k + COLUMNS] for k in cut], [labels[k : k + COLUMNS] for k in cut], gap=10)
    head = f"<h2>{len(chosen)} of them, chosen at random</h2>"
    return f"<section>{head}{image(sheet, 'pictures of meshes with their face counts')}</section>"


def _read_mesh(folder: Path, shard: int, row: int) -> tuple[Mesh, np.ndarray | None]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(sorted((folder / "data").glob("*.parquet"))[shard])
    group = 0
    while row >= file.metadata.row_group(group).num_rows:
        row -= file.metadata.row_group(group).num_rows
        group += 1
    table = file.read_row_group(group, columns=["vertices", "faces", "colors"]).slice(row, 1)
    entry = {name: table.column(name)[0].as_py() for name in table.column_names}
    mesh = Mesh(np.array(entry["vertices"], np.float32), np.array(entry["faces"], np.int32))
    return mesh, None if entry["colors"] is None else np.array(entry["colors"], np.uint8)


def _rejections(folder: Path, manifest: dict[str, Any]) -> str:
    counts = manifest["rejected"]
    passed = manifest["passed_over"]
    note = ""
    if passed:
        kinds = ", ".join(f"{count:,} {html.escape(kind)}" for kind, count in passed.items())
        note = f"<p class=examples>Passed over, as files that lie beside meshes: {kinds}.</p>"
    if not counts:
        return f"<section><h2>Rejected</h2><p>Nothing.</p>{note}</section>"
    examples: dict[str, list[str]] = defaultdict(list)
    told: Counter[tuple[str, str]] = Counter()
    for line in (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        kind = entry["reason"], re.sub(r"[\d.]+", "", entry["detail"])[:40]
        if len(examples[entry["reason"]]) < EXAMPLES and told[kind] < 2:  # of each kind of detail two at most
            told[kind] += 1
            name, detail = html.escape(entry["name"]), html.escape(entry["detail"][:240])
            examples[entry["reason"]].append(f"<div><code>{name}</code> {detail}</div>")
    most = max(counts.values())
    rows = "".join(
        f"<tr><td class=n>{count:,}<div class=meter style='width:{100 * count / most:.0f}%'></div></td>"
        f"<td><b>{reason}</b><div class=examples>{REASONS[reason]}</div></td>"
        f"<td class=examples>{''.join(examples[reason])}</td></tr>"
        for reason, count in sorted(counts.items(), key=lambda pair: -pair[1])
    )
    head = "<tr><th class=n>count</th><th style='width:230px'>reason</th><th>examples</th></tr>"
    note += "<p class=examples>All of them: <code>rejected.jsonl</code></p>"
    return f"<section><h2>Rejected</h2><table>{head}{rows}</table>{note}</section>"


def _options(manifest: dict[str, Any]) -> str:
    options = manifest["options"]
    pairs = [
        *options["rules"].items(),
        *options["content"].items(),
        *manifest["limits"].items(),
        ("meto", manifest["meto"]),
    ]
    return f"<section><h2>Options</h2>{options_list(pairs)}</section>"
