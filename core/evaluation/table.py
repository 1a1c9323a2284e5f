"""The summary on the console."""

from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Cell = dict[str, Any] | None
Format = Callable[[float], str]


def length(value: float) -> str:
    return f"{value:.4f}"


def ratio(value: float) -> str:
    return f"{value:.3f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def seconds(value: float) -> str:
    return f"{value:.1f}"


def number(value: float) -> str:
    return f"{value:,.0f}"


SHORT = {
    "generated": "generated",
    "decimated": "decimated",
    "nearest": "nearest",
    "reference": "reference",
    "decimated_input": "dec. input",
    "instant_meshes": "Inst. Meshes",
}
BUCKET_TITLES = ("samples", "finished", "Chamfer", "faces", "true", "error", "vs asked")

# label, where it stands in a column of the summary, how it is written
LINES: list[tuple[str, tuple[str, ...], Format]] = [
    ("Chamfer, median", ("chamfer", "median"), length),
    ("Chamfer, mean", ("chamfer", "mean"), length),
    ("Hausdorff, median", ("hausdorff", "median"), length),
    ("edge Chamfer, median", ("edge_chamfer", "median"), length),
    ("F-score at 1 %, mean", ("f_score_1", "mean"), ratio),
    ("F-score at 2 %, mean", ("f_score_2", "mean"), ratio),
    ("normal consistency", ("normal_consistency", "mean"), ratio),
    ("|normal consistency|", ("normal_consistency_abs", "mean"), ratio),
    ("faces, median", ("faces_median",), number),
    ("face-count error", ("face_count_error", "median"), percent),
    ("gave a mesh", ("success",), percent),
    ("seconds, median", ("seconds_median",), seconds),
    ("watertight", ("watertight",), percent),
    ("where reference is", ("closed_where_reference_is",), percent),
    ("boundary edge ratio", ("boundary_edge_ratio_mean",), ratio),
    ("topology score", ("topology_score_mean",), ratio),
    ("faces in quads", ("quad_ratio_mean",), percent),
    ("valence", ("valence_mean",), ratio),
    ("aspect", ("aspect_mean",), ratio),
    ("non-manifold a mesh", ("nonmanifold_edges_mean",), ratio),
    ("with non-manifold", ("with_nonmanifold_edges",), percent),
    ("with boundary edges", ("with_boundary_edges",), percent),
    ("degenerate faces", ("with_degenerate_faces",), percent),
    ("duplicate faces", ("with_duplicate_faces",), percent),
    ("intersecting faces", ("with_intersecting_faces",), percent),
    ("of faces intersecting", ("intersecting_share",), percent),
    ("components, median", ("components_median",), number),
]


def cells(summary: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(label, [(value, interval) for each column there is]) of every line that anything is known for; "" else."""
    rows = []
    for label, place, write in LINES:
        row = []
        for column in summary["metrics"].values():
            cell: Cell = column
            for name in place:
                cell = cell and cell.get(name)
            low_high = "" if cell is None else "–".join(write(end) for end in cell["interval"])
            row.append(("" if cell is None else write(cell["value"]), low_high))
        if any(value for value, _ in row):
            rows.append((label, row))
    return rows


def headline(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(value, what it is, interval) of the figures that are asked for first."""
    asked: list[tuple[str, Format, str]] = [
        ("finished", percent, "finished: ended, and gave a mesh"),
        ("chamfer_median", length, "median Chamfer distance"),
        ("better_than_nearest", percent, "nearer than the nearest training mesh"),
        ("face_count_error_median", percent, "median face-count error"),
    ]
    told = []
    for key, write, what in asked:
        value, ends = summary[key], summary[f"{key}_interval"]
        known = value is not None
        told.append((write(value) if known else "–", what, "–".join(map(write, ends)) if known else "not known"))
    return told


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """The table, the buckets where there are several, and the headline last."""
    counts = f"{summary['references']} references, {summary['samples']} samples"
    console.print(f"{counts}; lengths are shares of the diagonal", highlight=False)
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("", no_wrap=True)
    narrow = len(summary["metrics"]) > 4  # more columns leave no room for the interval
    for name in summary["metrics"]:
        table.add_column(SHORT[name], justify="right")
        if name == "generated" and not narrow:
            table.add_column("95 % interval", justify="right", style="dim", no_wrap=True)
    for label, row in cells(summary):
        (first, ends), *others = row
        table.add_row(label, first, *([] if narrow else [ends]), *(value for value, _ in others))
    console.print(table)
    for key, what in (("by_faces_asked_for", "asked for"), ("by_reference_faces", "true faces")):
        if len(summary[key]) > 1:
            console.print(_bucket_table(summary[key], what))
    for line in notes(summary):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for value, what, ends in headline(summary):
        console.print(f"  [bold]{value:>8}[/bold]  {what}  [dim]({ends})[/dim]", highlight=False)


def _bucket_table(buckets: dict[str, Any], what: str) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(what, justify="right")
    for title in BUCKET_TITLES:
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
