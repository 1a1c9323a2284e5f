"""The page of an evaluation: figures, baselines, and a row of pictures for each mesh, worst and best first."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.data.mesh import save_bytes
from core.data.page import histogram, image, options_list, page, tiles
from core.evaluation.measure import Case, Measured
from core.evaluation.pictures import draw, input_points, label
from core.evaluation.summary import COLUMNS
from core.evaluation.table import BUCKET_TITLES, bucket_cells, cells, headline, length, notes, percent, ratio

PICTURE_SIZE = 256  # pixels
STYLE = """
td.f, th.f { text-align: right; font-variant-numeric: tabular-nums; padding-right: 0; padding-left: 14px; }
td.f span, .tile small { display: block; color: var(--soft); font-size: 11.5px; white-space: nowrap; }
.notes { color: var(--soft); font-size: 13.5px; margin: 12px 0 0; padding-left: 18px; }
.mesh { display: grid; grid-template-columns: repeat(4, 1fr); gap: 0 10px; padding: 14px 0 10px; }
.mesh + .mesh { border-top: 1px solid var(--line); }
.mesh h3 { grid-column: 1 / -1; font-size: 14px; margin: 0; overflow-wrap: anywhere; }
.mesh h3 span { font-weight: 400; color: var(--soft); margin-left: 8px; }
.mesh figcaption { font-weight: 400; font-size: 12.5px; color: var(--soft); text-align: center; line-height: 1.35; }
.mesh figcaption b { color: var(--ink); font-weight: 600; }
.none { aspect-ratio: 1; display: grid; place-items: center; background: var(--paper); border-radius: 8px;
  color: var(--soft); font-size: 13px; text-align: center; padding: 18px; overflow-wrap: anywhere; }
"""


class Shown(NamedTuple):
    """A sample and its reference."""

    case: Case
    measured: Measured

    @property
    def chamfer(self) -> float:
        return self.measured.figures["chamfer"] or 0.0


def write_report(cases: Sequence[Case], summary: dict[str, Any], path: str, folder: Path, rows: int) -> None:
    """Write the page.

    Args:
        cases: what was measured; [] where only sets were compared.
        summary: of them.
        path: of the page.
        folder: of the generated meshes, where the points that the model saw may lie.
        rows: how many of the worst meshes to show, and of the best.
    """
    shown = [Shown(case, measured) for case in cases for measured in case.samples]
    shown.sort(key=lambda each: each.chamfer)
    settings = summary["settings"]
    sections = [
        tiles([(value, f"{what}<small>{ends}</small>") for value, what, ends in headline(summary)]),
        _table(summary),
        *(_buckets(summary[key], what) for key, what in _BUCKETS if len(summary[key]) > 1),
        _charts(shown),
        *_pictures(shown, folder, rows),
        f"<section><h2>Options</h2>{options_list(list(settings.items()))}</section>",
    ]
    told = (
        f"<code>{html.escape(settings['generated'])}</code> against <code>{html.escape(settings['reference'])}</code>: "
        f"{summary['references']} references, {summary['samples']} samples"
    )
    written = page(f"Evaluation of {settings['generated']}", "Generated meshes", told, sections, STYLE)
    save_bytes(Path(path), written.encode())


_BUCKETS = (("by_faces_asked_for", "Faces asked for"), ("by_reference_faces", "Faces of the reference"))


def _table(summary: dict[str, Any]) -> str:
    head = "".join(f"<th class=f>{COLUMNS[name]}</th>" for name in summary["metrics"])
    rows = "".join(
        f"<tr><td>{html.escape(what)}</td>"
        + "".join(f"<td class=f>{value or '–'}<span>{ends}</span></td>" for value, ends in row)
        + "</tr>"
        for what, row in cells(summary)
    )
    told = [
        "Lengths are shares of the reference's bounding-box diagonal. Below each figure its 95 % interval (bootstrap). "
        "F: F-score at 1 %; NC: normal consistency.",
        "decimated reference: quadric edge collapse to the generated mesh's face count. reference, sampled again: the "
        "distance between two samples of one surface, the smallest that can be reached.",
        *notes(summary),
    ]
    items = "".join(f"<li>{html.escape(line)}</li>" for line in told)
    table = f"<table><tr><th></th>{head}</tr>{rows}</table>"
    return f"<section><h2>Figures</h2>{table}<ul class=notes>{items}</ul></section>"


def _buckets(buckets: dict[str, Any], what: str) -> str:
    head = "".join(f"<th class=f>{title}</th>" for title in BUCKET_TITLES)
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td>{''.join(f'<td class=f>{cell}</td>' for cell in bucket_cells(row))}</tr>"
        for name, row in buckets.items()
    )
    return f"<section><h2>{what}</h2><table><tr><th></th>{head}</tr>{rows}</table></section>"


def _charts(shown: Sequence[Shown]) -> str:
    there = [each for each in shown if each.measured.mesh is not None]
    if len(there) < 2:
        return ""
    distances = np.array([each.chamfer for each in there])
    counts = np.array([len(e.measured.mesh.faces) / len(e.case.mesh.faces) for e in there if e.measured.mesh])
    none = np.zeros(len(there), bool)
    charts = histogram("Chamfer distance", distances, none, log=False)
    charts += histogram("Faces, as a share of the reference's", counts, none, log=False)
    return f"<section><h2>Meshes</h2><div class=charts>{charts}</div></section>"


def _pictures(shown: Sequence[Shown], folder: Path, rows: int) -> list[str]:
    """Sections of picture rows; one for all where they are few."""
    worst = list(reversed(shown))
    if len(shown) <= 2 * rows:
        return [_section(f"All {len(shown)}, the worst first", worst, folder)] if shown else []
    return [
        _section(f"The worst {rows} of {len(shown)}", worst[:rows], folder),
        _section(f"The best {rows} of {len(shown)}", list(shown[:rows]), folder),
    ]


def _section(title: str, shown: Sequence[Shown], folder: Path) -> str:
    from rich.progress import track

    drawn = track(shown, description=f"drawing: {title.lower()}", transient=True)
    return f"<section><h2>{title}</h2>{''.join(_row(each, folder) for each in drawn)}</section>"


def _row(each: Shown, folder: Path) -> str:
    case, measured = each
    figures, nearest = measured.figures, case.nearest
    cloud = input_points(case, folder)
    parts = [
        _figure(image(draw(cloud, case, PICTURE_SIZE), "input points"), f"{len(cloud.vertices):,} points"),
        _figure(image(draw(case.mesh, case, PICTURE_SIZE), "ground truth"), f"truth, {len(case.mesh.faces)} faces"),
    ]
    if measured.mesh is None:
        parts.append(_figure(f"<div class=none>{html.escape(measured.failure)}</div>", "no mesh"))
    else:
        text = f"<b>generated, {label(measured)}</b><br>Chamfer {length(each.chamfer)}, "
        text += f"F {ratio(figures['f_score_1'] or 0)}, |NC| {ratio(figures['normal_consistency_abs'] or 0)}"
        parts.append(_figure(image(draw(measured.mesh, case, PICTURE_SIZE), "generated"), text))
    if nearest:
        text = (
            f"nearest of training, {len(nearest.mesh.faces)} faces<br>Chamfer {length(nearest.figures['chamfer'] or 0)}"
        )
        parts.append(_figure(image(draw(nearest.mesh, case, PICTURE_SIZE), f"nearest: {nearest.name}"), text))
    title = f"<h3>{html.escape(case.reference.name)}<span>{_asked(measured)}</span></h3>"
    return f"<div class=mesh>{title}{''.join(parts)}</div>"


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def _asked(measured: Measured) -> str:
    told = [f"repetition {measured.sample.repeat}"] if measured.sample.repeat else []
    told += [f"{measured.sample.num_faces} faces asked for"] if measured.sample.num_faces > 0 else []
    if measured.mesh is not None:
        told.append(f"face count off by {percent(measured.figures['face_count_error'] or 0)}")
        told += ["watertight"] if measured.figures["watertight"] else []
    return ", ".join(told)
