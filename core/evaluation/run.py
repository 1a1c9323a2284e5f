"""The command: references and results in, figures and pictures out."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.data.mesh import MESH_SUFFIXES, POINT_SUFFIXES, Mesh, list_inputs, load, save_bytes
from core.evaluation.baselines import check_installed
from core.evaluation.measure import Case, NoSurfaceError, Reference, count_failures, measure, read_reference
from core.evaluation.nearest import NearestMeshes
from core.evaluation.options import EvaluateConfig
from core.evaluation.pairs import RESULTS, Results, Sample, pair_files, read_results
from core.evaluation.sets import set_metrics
from core.evaluation.summary import summarise, summarise_sets
from core.evaluation.table import print_summary
from core.evaluation.trained_on import weights_of_results
from core.evaluation.training import NotThereError, Training, open_training

log = logging.getLogger(__name__)

FAR_APART = 0.25  # of the diagonal, the median of the boxes: then the frames differ, not the shapes
NAMES_SHOWN = 5
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class Evaluation:
    """One run.

    Args:
        config: what was asked; `generated` and `reference` are files or folders.

    Attributes:
        bad: (file, reason) of each file that could not be read.
        notes: what the user should know, in sentences.
        cases: what was measured.
    """

    def __init__(self, config: EvaluateConfig):
        self.config = config
        self.bad: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.cases: list[Case] = []
        self.silent = 0  # meshes of which the records say nothing

    def run(self) -> dict[str, Any]:
        """Measure, write and show everything; returns the summary.

        Raises ValueError where nothing can be compared.
        """
        config = self.config
        prepare_outputs(config)
        references = self.read_references()
        results = self._read_results(references)
        missing = [r.name for r in references if not results.of(r.name, r.path)]
        if len(missing) < len(references):
            told = self._measure(references, results)
            self._tell_missing(missing)
            summary = summarise(self.cases, results.recorded, config.seed)
        elif config.set_metrics:
            told = ""
            self.notes.append("no mesh is named as a reference: compared as sets only")
            summary = summarise_sets(self.generated_meshes(), [r.mesh for r in references], config.seed)
        else:
            raise ValueError(
                f"{config.generated}: no mesh there is named as one of {config.reference}; the first of those is "
                f"{references[0].name} (for sets without pairs: --set_metrics)"
            )
        if config.set_metrics:
            true = [reference.mesh for reference in references]
            summary["set_metrics"] = set_metrics(self.generated_meshes(), true, config.set_points, config.seed)
        self._add_settings(summary, told)
        self.write(summary)
        return summary

    def _add_settings(self, summary: dict[str, Any], train: str) -> None:
        summary["settings"] = {**asdict(self.config), "train": train}
        summary["skipped"] = [{"file": file, "reason": reason} for file, reason in self.bad]
        summary["notes"] = self.notes + [
            f"skipped {reason if file in reason else f'{file}: {reason}'}" for file, reason in self.bad
        ]

    def read_references(self) -> list[Reference]:
        """The references by name, as many as asked for; those that cannot be used are reported.

        Raises ValueError where none is left.
        """
        from core.inference.names import unique_names

        config = self.config
        paths = list_inputs(config.reference, MESH_SUFFIXES + POINT_SUFFIXES)
        found: list[Reference] = []
        too_large = 0
        for path, name in zip(paths, unique_names(paths, config.reference), strict=True):
            reference = self._read_reference(path, name)
            if reference and config.max_faces and len(reference.mesh.faces) > config.max_faces:
                too_large += 1
            elif reference:
                found.append(reference)
            if config.limit and len(found) == config.limit:
                break
        if too_large:
            self.notes.append(f"{too_large} references of more than {config.max_faces} faces are left out")
        if not found:
            reason = f"; the first: {self.bad[0][1]}" if self.bad else ""
            raise ValueError(f"{config.reference}: none of its {len(paths)} files can be a reference{reason}")
        return found

    def _read_reference(self, path: Path, name: str) -> Reference | None:
        try:
            return read_reference(path, name)
        except NoSurfaceError as error:  # nothing is wrong with the file
            self.notes.append(f"left out {error}")
        except (ValueError, MemoryError) as error:
            self.bad.append((path.name, str(error) or type(error).__name__))
        return None

    def _read_results(self, references: Sequence[Reference]) -> Results:
        place = Path(self.config.generated)
        if place.is_file() and len(references) == 1:
            return pair_files(place, references[0].name)
        results = read_results(place)
        self.notes += results.notes
        return results

    def _measure(self, references: Sequence[Reference], results: Results) -> str:
        """Measure every reference; returns which training meshes were searched."""
        from rich.progress import track

        config = self.config
        training = self._open_training()
        nearest = training and NearestMeshes(training.source, config.rotate_step, training.numbers)
        for reference in track(references, description="measuring", transient=True):
            samples = self._samples(results, reference)
            try:
                inputs = config.inputs if config.baselines else None
                case = measure(reference, samples, config.points, config.align, nearest, inputs)
            except (ValueError, MemoryError) as error:
                self.bad.append((reference.path.name, str(error) or type(error).__name__))
                continue
            self.cases.append(case)
            self.bad += [(m.sample.path.name, m.failure) for m in case.samples if m.unreadable and m.sample.path]
        if not self.cases:
            raise ValueError(f"{config.reference}: no reference can be measured; the first: {self.bad[0][1]}")
        if self.silent:
            self.notes.append(f"{RESULTS} does not say how {self.silent} of the meshes ended: counted as not finished")
        self._tell_frames()
        count_failures(self.cases)
        return training.told if training else ""

    def _open_training(self) -> Training | None:
        config, place = self.config, Path(self.config.generated)
        weights = config.resume or weights_of_results(place)
        try:
            return open_training(config.train, weights, config.seed, config.train_most)
        except NotThereError as error:
            self.notes.append(f"nearest training mesh: left out: {error}")
            return None

    def _samples(self, results: Results, reference: Reference) -> list[Sample]:
        samples = results.of(reference.name, reference.path) or [Sample(reference.name, failure="no result")]
        unknown = [s for s in samples if s.path is not None and s.finished is None]
        if results.recorded and unknown:
            self.silent += len(unknown)
            samples = [s._replace(finished=False) if s in unknown else s for s in samples]
        return samples

    def _tell_missing(self, missing: Sequence[str]) -> None:
        if missing:
            more = f" and {len(missing) - NAMES_SHOWN} more" if len(missing) > NAMES_SHOWN else ""
            names = ", ".join(missing[:NAMES_SHOWN]) + more
            self.notes.append(f"no result, counted as failures: {len(missing)} references: {names}")

    def _tell_frames(self) -> None:
        apart = [measured.apart for case in self.cases for measured in case.samples if measured.mesh is not None]
        if apart and float(np.median(apart)) > FAR_APART and self.config.align == "none":
            self.notes.append(
                "most generated meshes lie elsewhere, or are of another size, than their references; if the system "
                "normalises its meshes, compare with --align box"
            )

    def generated_meshes(self) -> list[Mesh]:
        """Every mesh that was generated: those measured, or all in the folder."""
        measured = [m.mesh for case in self.cases for m in case.samples if m.mesh is not None]
        if measured:
            return measured
        meshes = []
        for path in list_inputs(self.config.generated, MESH_SUFFIXES):
            try:
                mesh = load(path)
                if not mesh.is_points:
                    meshes.append(mesh)
            except ValueError as error:
                if (path.name, str(error)) not in self.bad:
                    self.bad.append((path.name, str(error)))
        if not meshes:
            raise ValueError(f"{self.config.generated}: holds no mesh that can be read")
        return meshes

    def write(self, summary: dict[str, Any]) -> None:
        """The files asked for, and the table."""
        from rich.console import Console

        config = self.config
        folder = Path(config.generated)
        if config.json:
            save_bytes(Path(config.json), (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode())
        if config.report:
            from core.evaluation.page import write_report

            write_report(self.cases, summary, config.report, folder, config.report_rows)
        print_summary(summary, Console())
        if config.picture and self.cases:
            from core.evaluation.pictures import write_grid

            shown = write_grid(self.cases[: config.first], folder, config.picture)
            log.info("%s: the first %d by name", config.picture, shown)
        for path in (config.json, config.report):
            if path:
                log.info("%s: written", path)


def prepare_outputs(config: EvaluateConfig) -> None:
    """Make the folders of what is to be written, before minutes are spent on it.

    Raises ValueError for a suffix that cannot be written, and for a baseline that is not installed.
    """
    if config.baselines:
        check_installed()
    for path in filter(None, (config.json, config.report, config.picture)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    if config.picture and Path(config.picture).suffix.lower() not in PICTURES:
        raise ValueError(f"--picture {config.picture}: its suffix must be one of {' '.join(PICTURES)}")
