"""All figures to one object: what evaluate.py writes as JSON and shows as a table.

Lengths are shares of the reference's bounding-box diagonal. Where nothing was generated, the worst counts: a distance
of 1, an overlap and agreement of 0, a face-count error above any result's. What is said of meshes is said of those
there are.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from core.data.mesh import Mesh
from core.evaluation.baselines import BASELINES
from core.evaluation.distances import WORST, Figures
from core.evaluation.measure import Case, Measured
from core.evaluation.pairs import UNKNOWN_COUNT
from core.evaluation.quality import LAYOUT
from core.evaluation.statistics import Estimate, Kind, estimate
from core.evaluation.topology import DEFECTS, topology

HEADLINE = ("finished", "chamfer_median", "better_than_nearest", "face_count_error_median")
COMPARED = (*WORST, "face_count_error")
COLUMNS = {
    "generated": "generated",
    "decimated": "decimated reference",
    "nearest": "nearest training mesh",
    "reference": "reference, sampled again",
    **BASELINES,
}
FACE_BOUNDS = (50, 100, 200, 400, 800, 1000, 2000, 4000, 8000)
MOST_COUNTS = 6  # more different counts asked for go into the buckets of FACE_BOUNDS


class Entry(NamedTuple):
    """Figures of one mesh, and the number of the reference that it was measured on."""

    group: int
    figures: Figures


def summarise(cases: Sequence[Case], recorded: bool, seed: int) -> dict[str, Any]:
    """Everything but the set metrics and the settings.

    Args:
        cases: what was measured.
        recorded: whether infer.py's records say how its sequences ended.
        seed: of the bootstrap.
    """
    made = [(k, measured) for k, case in enumerate(cases) for measured in case.samples]
    columns = _columns(cases)
    metrics = {name: _column(entries, seed) for name, entries in columns.items() if entries}
    closed = {k for k, case in enumerate(cases) if case.again["watertight"]}
    for name, column in metrics.items():
        column["closed_where_reference_is"] = _closed(columns[name], closed, seed)
    metrics["generated"] |= _effort(made, seed)
    return {
        **_headline(cases, made, metrics, seed),
        "references": len(cases),
        "samples": len(made),
        "samples_with_a_mesh": sum(measured.mesh is not None for _, measured in made),
        "endings_known": recorded,
        "failures": dict(Counter(_kind_of_failure(measured) for _, measured in made if measured.mesh is None)),
        "diversity": _write(estimate([d for case in cases for d in case.diversity], "mean", seed=seed)),
        "metrics": metrics,
        "by_faces_asked_for": _buckets(made, cases, _asked_for(made), seed),
        "by_reference_faces": _buckets(made, cases, lambda k, _: face_bucket(len(cases[k].mesh.faces)), seed),
        "meshes": [_row(cases[k], measured) for k, measured in made],
    }


def summarise_sets(made: Sequence[Mesh], true: Sequence[Mesh], seed: int) -> dict[str, Any]:
    """As `summarise`, of meshes that do not belong together in pairs: what topology says of either set."""
    sets = {"generated": made, "reference": true}
    entries = {name: [Entry(k, topology(mesh)) for k, mesh in enumerate(meshes)] for name, meshes in sets.items()}
    headline: dict[str, Any] = {}
    for name in HEADLINE:
        headline[name] = headline[f"{name}_interval"] = None
    return {
        **headline,
        "references": len(true),
        "samples": len(made),
        "samples_with_a_mesh": len(made),
        "endings_known": False,
        "failures": {},
        "diversity": None,
        "metrics": {name: _column(column, seed) for name, column in entries.items()},
        "by_faces_asked_for": {},
        "by_reference_faces": {},
        "meshes": [],
    }


def _headline(
    cases: Sequence[Case], made: list[tuple[int, Measured]], metrics: dict[str, Any], seed: int
) -> dict[str, Any]:
    """The figures that are asked for first, each with its interval."""
    groups = [k for k, _ in made]
    ended = [measured.finished for _, measured in made]
    finished = None if None in ended else estimate([float(bool(e)) for e in ended], "mean", groups, seed)
    better = None
    if all(case.nearest is not None for case in cases):
        nearer = [float(is_better_than_nearest(cases[k], measured)) for k, measured in made]
        better = estimate(nearer, "mean", groups, seed)
    figures = {"finished": _write(finished), "better_than_nearest": _write(better)}
    headline: dict[str, Any] = {}
    for name, figure in figures.items():
        headline[name] = figure and figure["value"]
        headline[f"{name}_interval"] = figure and figure["interval"]
    for name in ("chamfer", "face_count_error"):
        median = metrics["generated"][name]["median"]
        headline[f"{name}_median"], headline[f"{name}_median_interval"] = median["value"], median["interval"]
    return headline


def is_better_than_nearest(case: Case, measured: Measured) -> bool:
    """Whether a generated mesh is nearer to its reference than the nearest training mesh is."""
    assert case.nearest is not None
    return _number(measured.figures, "chamfer") < _number(case.nearest.figures, "chamfer")


def _number(figures: Figures, name: str) -> float:
    value = figures[name]
    assert value is not None
    return value


def _columns(cases: Sequence[Case]) -> dict[str, list[Entry]]:
    columns: dict[str, list[Entry]] = {name: [] for name in COLUMNS}
    for k, case in enumerate(cases):
        columns["reference"].append(Entry(k, case.again))
        columns["nearest"] += [Entry(k, case.nearest.figures)] if case.nearest else []
        columns["generated"] += [Entry(k, measured.figures) for measured in case.samples]
        for name in BASELINES:
            columns[name] += [Entry(k, m.baselines[name]) for m in case.samples if name in m.baselines]
        columns["decimated"] += [Entry(k, measured.decimated) for measured in case.samples if measured.decimated]
    return columns


def _column(entries: Sequence[Entry], seed: int) -> dict[str, Any]:
    """Median and mean of each compared figure; shares and means of what topology says, of the meshes there are."""

    def of(name: str, kind: Kind, change: Callable[[float], float] = float) -> dict[str, Any] | None:
        known = [(entry.group, entry.figures[name]) for entry in entries if entry.figures.get(name) is not None]
        values = [change(value) for _, value in known if value is not None]
        return _write(estimate(values, kind, [group for group, _ in known], seed))

    column: dict[str, Any] = {name: {kind: of(name, kind) for kind in ("median", "mean")} for name in COMPARED}
    column["meshes"] = sum("faces" in entry.figures for entry in entries)
    column["faces_median"] = of("faces", "median")
    column["components_median"] = of("components", "median")
    column["watertight"] = of("watertight", "mean")
    for name in (*LAYOUT, "nonmanifold_edges"):
        column[f"{name}_mean"] = of(name, "mean")
    for name in DEFECTS:
        column[f"with_{name}"] = of(name, "mean", lambda count: float(count > 0))
    column["intersecting_share"] = _write(
        estimate(*_shares(entries, "intersecting_faces"), seed=seed)  # of the faces, where the other is of the meshes
    )
    return column


def _closed(entries: Sequence[Entry], closed: set[int], seed: int) -> dict[str, Any] | None:
    """Share that is watertight of the meshes whose reference is; where nothing was generated, none is."""
    asked = [entry for entry in entries if entry.group in closed]
    values = [float(entry.figures.get("watertight") or 0.0) for entry in asked]
    return _write(estimate(values, "mean", [entry.group for entry in asked], seed))


def _effort(made: Sequence[tuple[int, Measured]], seed: int) -> dict[str, Any]:
    """How many of the samples gave a mesh, and how long one took, where records tell that."""
    there = [float(measured.mesh is not None) for _, measured in made]
    timed = [(k, measured.sample.seconds) for k, measured in made if measured.sample.seconds is not None]
    seconds = [value for _, value in timed if value is not None]
    return {
        "success": _write(estimate(there, "mean", [k for k, _ in made], seed)),
        "seconds_median": _write(estimate(seconds, "median", [k for k, _ in timed], seed)),
    }


def _shares(entries: Sequence[Entry], name: str) -> tuple[list[float], Kind, list[int]]:
    there = [entry for entry in entries if "faces" in entry.figures]
    shares = [_number(entry.figures, name) / max(_number(entry.figures, "faces"), 1) for entry in there]
    return shares, "mean", [entry.group for entry in there]


def _write(figure: Estimate | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {"value": figure.value, "interval": [figure.low, figure.high], "count": figure.number}


def _asked_for(made: Iterable[tuple[int, Measured]]) -> Callable[[int, Measured], str]:
    counts = {measured.sample.num_faces for _, measured in made}
    if len(counts) <= MOST_COUNTS:
        return lambda _, measured: _name_count(measured.sample.num_faces)
    return lambda _, measured: face_bucket(measured.sample.num_faces)


def _name_count(count: int) -> str:
    return "unknown" if count == UNKNOWN_COUNT else str(count)


def face_bucket(count: int) -> str:
    """`to 200` for 101 to 200 faces."""
    if count == UNKNOWN_COUNT:
        return "unknown"
    bound = next((bound for bound in FACE_BOUNDS if count <= bound), None)
    return f"to {bound}" if bound else f"above {FACE_BOUNDS[-1]}"


def _buckets(
    made: Sequence[tuple[int, Measured]], cases: Sequence[Case], key: Callable[[int, Measured], str], seed: int
) -> dict[str, Any]:
    """Figures of the samples by a key, in the order of the numbers in it."""
    parts: dict[str, list[tuple[int, Measured]]] = defaultdict(list)
    for k, measured in made:
        parts[key(k, measured)].append((k, measured))
    order = sorted(parts, key=lambda name: int("".join(c for c in name if c.isdigit()) or -1))
    return {name: _bucket(parts[name], cases, seed) for name in order}


def _bucket(made: Sequence[tuple[int, Measured]], cases: Sequence[Case], seed: int) -> dict[str, Any]:
    groups = [k for k, _ in made]
    ended = [measured.finished for _, measured in made]
    there = [(k, measured) for k, measured in made if measured.mesh is not None]
    asked = [
        abs(_number(m.figures, "faces") - m.sample.num_faces) / m.sample.num_faces
        for _, m in there
        if m.sample.num_faces > 0
    ]
    faces = [_number(measured.figures, "faces") for _, measured in there]
    return {
        "samples": len(made),
        "samples_with_a_mesh": len(there),
        "finished": None if None in ended else float(np.mean([bool(e) for e in ended])),
        "faces_median": float(np.median(faces)) if faces else None,
        "reference_faces_median": float(np.median([len(cases[k].mesh.faces) for k, _ in made])),
        "chamfer": _write(estimate([_number(m.figures, "chamfer") for _, m in made], "median", groups, seed)),
        "face_count_error": _write(
            estimate([_number(m.figures, "face_count_error") for _, m in made], "median", groups, seed)
        ),
        "error_against_asked_for_median": float(np.median(asked)) if asked else None,
    }


def _kind_of_failure(measured: Measured) -> str:
    return "cannot be read" if measured.unreadable else measured.failure


def _row(case: Case, measured: Measured) -> dict[str, Any]:
    """One sample, flat."""
    sample = measured.sample
    nearest = case.nearest
    return {
        "name": case.reference.name,
        "repeat": sample.repeat,
        "num_faces": None if sample.num_faces == UNKNOWN_COUNT else sample.num_faces,
        "file": sample.path and sample.path.name,
        "finished": measured.finished,
        "failure": measured.failure or None,
        "reference_faces": len(case.mesh.faces),
        **measured.figures,
        "nearest": nearest and nearest.name,
        "nearest_chamfer": nearest and nearest.figures["chamfer"],
        "decimated_chamfer": measured.decimated and measured.decimated["chamfer"],
    }
