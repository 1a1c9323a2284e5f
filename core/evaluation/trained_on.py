"""What the config.json beside a model's weights says that they were trained on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.entries import Entry, parse_entries

CONFIG, RUNS = "config.json", "runs.jsonl"
DENSE_FACTOR = 4  # meshes of so many times --max_face_length are trained on, decimated, with --use_dense_meshes


@dataclass(frozen=True)
class TrainedOn:
    """The data of one training run."""

    file: Path
    """The config.json that says so."""
    entries: tuple[Entry, ...]
    """Places of --data, each once, and procedural shapes."""
    seed: int
    """Of the procedural shapes."""
    most_faces: int
    """Of the meshes that were not left out."""
    before: str
    """The weights from which it started; "" for none."""


def read_trained_on(weights: str) -> list[TrainedOn]:
    """The training run that made weights, and those before it as far as their config.json files are there.

    Raises ValueError where the first one is not there or says nothing of data.
    """
    runs: list[TrainedOn] = []
    while weights and (file := _config_beside(weights)) and all(run.file != file for run in runs):
        runs.append(_parse(file))
        weights = runs[-1].before
    if not runs:
        raise ValueError(f"{weights}: has no {CONFIG} beside it that says what was trained on")
    return runs


def weights_of_results(folder: Path) -> str:
    """The --resume of the command that last wrote meshes to a folder; "" where runs.jsonl does not say.

    It is taken as it stands there: a relative path counts from where that command was run.
    """
    if not (folder / RUNS).is_file():
        return ""
    found = ""
    for line in (folder / RUNS).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            words = str(json.loads(line)["command"]).split()
        except (ValueError, KeyError, TypeError):
            continue
        found = words[words.index("--resume") + 1] if "--resume" in words[:-1] else ""
    return found


def _config_beside(weights: str) -> Path | None:
    place = Path(weights).expanduser()
    file = (place if place.is_dir() else place.parent) / CONFIG
    return file.resolve() if place.exists() and file.is_file() else None


def _parse(file: Path) -> TrainedOn:
    try:
        options: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["options"]
        data, train = options["data"], options["train"]
        words, count = tuple(dict.fromkeys(data["data"])), int(data["num_shapes"])
        entries = tuple(entry._replace(weight=None) for entry in parse_entries(words))
        if not entries or data.get("shapes_fraction"):
            entries += (Entry("", None, count),)
        most = int(data["max_face_length"]) * (DENSE_FACTOR if data.get("use_dense_meshes") else 1)
        return TrainedOn(file, tuple(dict.fromkeys(entries)), int(train["seed"]), most, str(train.get("resume") or ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{file}: does not say what was trained on ({reason})") from error
