"""A page about a prepared set: what it holds, what was left out and why, and what it looks like.

One file without scripts or links. It is made from the shards and the journal, so it also tells of earlier runs.
"""

import base64
import html
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from core.data.mesh import Mesh, save_bytes
from core.data.prepare.rules import REASONS

EXAMPLES = 6  # of each reason
PICTURED = 36
PICTURE_SIZE = 220
COLUMNS = 6
BARS = 32

LEGEND = "".join(
    f"<span class=key style='--c: var({color})'>{what}</span>"
    for color, what in (("--bar", "all"), ("--test", "of these, to test on"))
)
STYLE = """
:root { --ink: #1d2230; --soft: #667085; --line: #e4e7ec; --bar: #4f74b3; --test: #e0924c; --paper: #f7f8fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 36px 28px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 0 0 14px; }
header p { color: var(--soft); margin: 4px 0 24px; overflow-wrap: anywhere; }
section { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.tile { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; } figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 22px; }
figcaption { font-weight: 600; font-size: 14px; }
figcaption span { color: var(--soft); font-weight: 400; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 13px; }
th, td { padding: 8px 14px 8px 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child th { border-top: 0; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; width: 70px; }
td .meter { height: 5px; border-radius: 3px; background: var(--bar); margin: 6px 0 0 auto; min-width: 2px; }
.examples { color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; } .examples code { color: var(--ink); }
code { font: 12.5px ui-monospace, "DejaVu Sans Mono", monospace; }
img { width: 100%; height: auto; display: block; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 6px 24px; margin: 0;
  font-size: 13.5px; }
dl div { display: flex; justify-content: space-between; gap: 12px; border-bottom: 1px dotted var(--line); }
dt { color: var(--soft); } dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.key { font-size: 13px; font-weight: 400; color: var(--soft); margin-left: 16px; }
.key::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 2px; }
.key::before { background: var(--c); margin-right: 5px; }
@media print { body { background: white; } section { break-inside: avoid; } }
"""


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
    src = html.escape(manifest["options"]["src"])
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{src}</title><style>{STYLE}</style><main><header><h1>Prepared meshes</h1>"
        f"<p>from <code>{src}</code></p></header>{''.join(sections)}</main></html>\n"
    )
    save_bytes(folder / "report.html", page.encode())


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
    tiles = [
        (manifest["inputs"], "inputs"),
        (len(facts["uid"]), "meshes kept"),
        (rejected, "rejected"),
        (manifest["meshes"]["train"], "to train on"),
        (manifest["meshes"]["test"], "to test on"),
        (int(facts["num_faces"].sum()), "faces"),
        (int(facts["num_tokens"].astype(np.int64).sum()), "tokens"),
    ]
    return (
        "<div class=tiles>"
        + "".join(f"<div class=tile><b>{_short(n)}</b><span>{t}</span></div>" for n, t in tiles)
        + "</div>"
    )


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


def histogram(title: str, values: np.ndarray, tests: np.ndarray, log: bool) -> str:
    """An SVG figure: counts of all values, those of the test split on top; `log`: steps that grow, for sizes."""
    values = values.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    edges = _edges(low, high, log)
    total, test = np.histogram(values, edges)[0], np.histogram(values[tests], edges)[0]
    width, height, left, bottom, top = 360, 190, 40, 26, 8
    span_x, span_y = width - left - 8, height - bottom - top
    peak = max(int(total.max()), 1)
    parts = []
    for share in (0, 0.5, 1):
        y = top + span_y * (1 - share)
        parts.append(f"<line x1={left} x2={width - 8} y1={y:.1f} y2={y:.1f} stroke='#e4e7ec'/>")
        parts.append(f"<text x={left - 6} y={y + 4:.1f} text-anchor=end>{_short(round(peak * share))}</text>")
    step = span_x / len(total)
    thick = min(step - 1, 48)
    for k, (a, b) in enumerate(zip(total.tolist(), test.tolist(), strict=True)):
        for count, color in ((a, "var(--bar)"), (b, "var(--test)")):
            if count:
                tall = max(span_y * count / peak, 1)
                x, y = left + (k + 0.5) * step - thick / 2, top + span_y - tall
                box = f"x={x:.1f} y={y:.1f} width={thick:.1f} height={tall:.1f}"
                title_text = f"{edges[k]:.4g} to {edges[k + 1]:.4g}: {count}"
                parts.append(f"<rect {box} rx=1 fill='{color}'><title>{title_text}</title></rect>")
    for at, side, text in _ticks(edges):
        parts.append(f"<text x={left + at * span_x:.1f} y={height - 8} text-anchor={side}>{text}</text>")
    caption = f"{title} <span>median {_short(float(np.median(values)))}, {_short(low)} to {_short(high)}</span>"
    return (
        f"<figure><figcaption>{caption}</figcaption><svg viewBox='0 0 {width} {height}'>{''.join(parts)}</svg></figure>"
    )


def _ticks(edges: np.ndarray) -> list[tuple[float, str, str]]:
    """(place from 0 to 1, alignment, text) of up to five numbers below a histogram."""
    bars = len(edges) - 1
    if np.isclose(np.diff(edges), 1).all():  # a bar each for whole numbers: named in its middle
        middle = np.unique(np.linspace(0, bars - 1, 5).round().astype(int)).tolist()
        return [((k + 0.5) / bars, "middle", _short(edges[k] + 0.5)) for k in middle]
    sides = {0: "start", bars: "end"}
    between = np.linspace(0, bars, 5).round().astype(int).tolist()
    return [(k / bars, sides.get(k, "middle"), _short(edges[k])) for k in between]


def _edges(low: float, high: float, log: bool) -> np.ndarray:
    if log and low > 0 and high - low < BARS:  # few different whole numbers: a bar each
        return np.arange(low, high + 2) - 0.5
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    return np.geomspace(low, high * 1.0001, BARS + 1) if log and low > 0 else np.linspace(low, high, BARS + 1)


def _sheet(folder: Path, facts: dict[str, np.ndarray]) -> str:
    """Pictures of meshes drawn by lot: those of the smallest uids, which are hashes."""
    from core.data.prepare.pictures import encode_png
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
    data = base64.b64encode(encode_png(_fewer_colors(sheet))).decode()
    head = f"<h2>{len(chosen)} of them, drawn by lot</h2>"
    image = f"<img alt='pictures of meshes with their face counts' src='data:image/png;base64,{data}'>"
    return f"<section>{head}{image}</section>"


def _fewer_colors(picture: np.ndarray) -> np.ndarray:
    """The low two bits dropped: a third of the bytes, and nobody sees it."""
    return np.where(picture > 251, 255, picture & 0xFC).astype(np.uint8)


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
    rows = "".join(
        f"<div><dt>{name}</dt><dd><code>{html.escape(str(value)) or '–'}</code></dd></div>" for name, value in pairs
    )
    return f"<section><h2>Options</h2><dl>{rows}</dl></section>"


def _short(number: float) -> str:
    """1234567 -> 1.23 M."""
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(number) >= size:
            return f"{number / (1e3 if sign == ' k' else size):.3g}{sign}"
    return f"{number:,.0f}" if number >= 100 or float(number).is_integer() else f"{number:.3g}"
