"""Generating first: a preset's meshes of a data set, by the very command that a user would run."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from core.data.entries import parse_entry
from core.data.mesh import Mesh, save
from core.data.prepared import PreparedSource, is_prepared
from core.data.sources import MeshSource, ShapesSource
from core.evaluation.options import EvaluateConfig
from core.evaluation.pairs import RESULTS

ROOT = Path(__file__).resolve().parents[2]
# Added to --seed: shapes that neither training (--seed) nor its test split (--seed + 2^31) has seen.
SHAPES_SEED = 2**33


def generate_first(config: EvaluateConfig, options: list[str]) -> EvaluateConfig:
    """Run infer.py with a preset; returns the options with the folders of what it made and of the references.

    options: further words for infer.py.
    Raises ValueError without weights, for an empty set, and where infer.py wrote nothing.
    """
    if not config.resume:
        raise ValueError(f"--resume is needed: the weights for {config.generated}")
    workspace = Path(config.workspace)
    reference = write_references(config, workspace / "reference")
    generated = workspace / "generated"
    _clear(generated)
    words = [config.generated, "--resume", config.resume, "--test_path", reference, "--workspace", str(generated)]
    words += ["--no_sheet", *options]
    code = subprocess.run([sys.executable, str(ROOT / "infer.py"), *words]).returncode
    if code and not any(generated.glob("*.ply")):
        raise ValueError(f"infer.py {shlex.join(words)}: ended with exit code {code} and no mesh")
    return replace(config, generated=str(generated), reference=reference)


def _clear(folder: Path) -> None:
    """Remove what an earlier run wrote: meshes of other weights or face counts would be measured along."""
    patterns = ("*f.ply", "*f_tokens.npy", "*_pc.obj", RESULTS, "runs.jsonl")
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        path.unlink()


def write_references(config: EvaluateConfig, folder: Path) -> str:
    """The place of the references as files: REFERENCE itself, or a folder to which its meshes are written.

    Raises ValueError for a set without meshes to test on.
    """
    source = _open(config)
    if source is None:
        return config.reference
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.obj"):
        old.unlink()
    written = 0
    for index in range(len(source)):
        mesh = source[index]
        if config.max_faces and len(mesh.faces) > config.max_faces:
            continue
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in source.name(index))
        save(folder / f"{index:06d}-{stem}.obj", Mesh(mesh.vertices, mesh.faces))
        written += 1
        if written == config.limit:
            break
    if not written:
        raise ValueError(f"{config.reference}: has no mesh to test on")
    return str(folder)


def _open(config: EvaluateConfig) -> MeshSource | None:
    if config.reference.startswith("shapes:"):
        return ShapesSource(config.seed + SHAPES_SEED, parse_entry(config.reference).shapes)
    if is_prepared(config.reference):
        return PreparedSource(config.reference, "test")
    return None
