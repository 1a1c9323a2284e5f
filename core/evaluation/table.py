"""The summary on the console."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from core.evaluation.summary import COLUMNS
from core.evaluation.topology import DEFECTS

Cell = dict[str, Any] | None
Format = Callable[[float], str]


def length(value: float) -> str:
    return f"{value:.4f}"


def ratio(value: float) -> str:
    return f"{value:.3f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def number(value: float) -> str:
    return f"{value:,.0f}"


# label, where it stands in a column of the summary, how it is written
LINES: list[tuple[str, tuple[str, ...], Format]] = [
    ("Chamfer distance, median", ("chamfer", "median"), length),
    ("Chamfer distance, mean", ("chamfer", "mean"), length),
    ("Hausdorff distance, median", ("hausdorff", "median"), length),
    ("edge Chamfer distance, median", ("edge_chamfer", "median"), length),
    ("F-score at 1 %, mean", ("f_score_1", "mean"), ratio),
    ("F-score at 2 %, mean", ("f_score_2", "mean"), ratio),
    ("normal consistency, mean", ("normal_consistency", "mean"), ratio),
    ("|normal consistency|, mean", ("normal_consistency_abs", "mean"), ratio),
    ("faces, median", ("faces_median",), number),
    ("face-count error, median", ("face_count_error", "median"), percent),
    ("watertight", ("watertight",), percent),
    *((f"with {name.replace('nonmanifold', 'non-manifold').replace('_', ' ')}", (f"with_{name}",), percent)
      for name in DEFECTS),
    ("faces that intersect", ("intersecting_share",), percent),
    ("components, median", ("components_median",), number),
]  # fmt: skip


def cells(summary: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(label, [(value, interval) for each column there is]) of every line of the table; "" where nothing is known."""
    rows = []
    for label, place, write in LINES:
        row = []
        for column in summary["metrics"].values():
            cell: Cell = column
            for name in place:
                cell = cell and cell[name]
            low_high = "" if cell is None else " to ".join(write(end) for end in cell["interval"])
            row.append(("" if cell is None else write(cell["value"]), low_high))
        rows.append((label, row))
    return rows


def headline(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(value, what it is, interval) of the figures that are asked for first."""
    asked = [
        ("finished", percent, "finished: ended, and gave a mesh"),
        ("chamfer_median", length, "median Chamfer distance"),
        ("better_than_nearest", percent, "nearer than the nearest training mesh"),
        ("face_count_error_median", percent, "median face-count error"),
    ]
    told = []
    for key, write, what in asked:
        value, ends = summary[key], summary[f"{key}_interval"]
        known = value is not None
        told.append((write(value) if known else "–", what, " to ".join(map(write, ends)) if known else "not known"))
    return told


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """The table, the buckets where there are several, and the headline last."""
    title = f"{summary['references']} references, {summary['samples']} samples; 95 % intervals by bootstrap"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("share of the diagonal, or as said")
    for name in summary["metrics"]:
        table.add_column(COLUMNS[name], justify="right")
    for label, row in cells(summary):
        table.add_row(label, *(f"{value}\n[dim]{ends}[/dim]" if ends else value for value, ends in row))
    console.print(table)
    for key, what in (("by_faces_asked_for", "faces asked for"), ("by_reference_faces", "faces of the reference")):
        if len(summary[key]) > 1:
            console.print(_bucket_table(summary[key], what))
    for line in notes(summary):
        console.print(line, highlight=False, markup=False)
    for value, what, ends in headline(summary):
        console.print(f"  [bold]{value:>8}[/bold]  {what}  [dim]({ends})[/dim]", highlight=False)


def _bucket_table(buckets: dict[str, Any], what: str) -> Table:
    table = Table(header_style="bold")
    table.add_column(what, justify="right")
    for title in (
        "samples",
        "finished",
        "Chamfer, median",
        "faces, median",
        "of the reference",
        "error",
        "against asked",
    ):
        table.add_column(title, justify="right")
    for name, row in buckets.items():
        table.add_row(name, *bucket_cells(row))
    return table


def bucket_cells(row: dict[str, Any]) -> list[str]:
    """A bucket's figures as they are written."""

    def written(value: float | None, write: Format) -> str:
        return "–" if value is None else write(value)

    return [
        number(row["samples"]),
        written(row["finished"], percent),
        length(row["chamfer"]["value"]),
        written(row["faces_median"], number),
        number(row["reference_faces_median"]),
        percent(row["face_count_error"]["value"]),
        written(row["error_against_asked_for_median"], percent),
    ]


def notes(summary: dict[str, Any]) -> list[str]:
    """What the figures do not say by themselves, in sentences."""
    told = [f"{count} without a mesh: {why}" for why, count in summary["failures"].items()]
    if summary["diversity"]:
        figure = summary["diversity"]
        told.append(f"diversity over seeds: {length(figure['value'])} between repetitions of {figure['count']} inputs")
    if summary.get("set_metrics"):
        sets = summary["set_metrics"]
        figures = ", ".join(f"{name} {sets[name]:.4f}" for name in ("coverage", "mmd", "one_nna") if name in sets)
        told.append(f"as sets, {sets['meshes']} meshes of either: {figures}")
    if summary["finished"] is None and summary["samples"]:
        told.append("finished: not known, as there is no results.jsonl that says how each sequence ended")
    if summary["settings"]["train"]:
        told.append(f"nearest training mesh: of {summary['settings']['train']}")
    return told + summary["notes"]
