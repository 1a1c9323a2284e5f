"""Small meshes and folders of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from core.data.mesh import Mesh, save


@pytest.fixture(autouse=True)
def one_thread():
    """Two torch threads on two busy cores stand in each other's way."""
    torch.set_num_threads(1)


def of_trimesh(mesh: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))


@pytest.fixture(scope="session")
def box() -> Mesh:
    return of_trimesh(trimesh.creation.box((1.0, 2.0, 0.5)))


@pytest.fixture(scope="session")
def ball() -> Mesh:
    """320 faces, so that decimation has something to do."""
    return of_trimesh(trimesh.creation.icosphere(2))


@pytest.fixture(scope="session")
def variants() -> list[Mesh]:
    """Forty different meshes of 12 to 320 faces."""
    rng = np.random.default_rng(3)
    made = [trimesh.creation.box(rng.uniform(0.2, 1, 3)) for _ in range(20)]
    made += [trimesh.creation.cylinder(rng.uniform(0.2, 1), 1.0, sections=int(rng.integers(5, 30))) for _ in range(16)]
    made += [trimesh.creation.icosphere(2, radius).apply_scale((1, radius, 2)) for radius in rng.uniform(0.3, 0.9, 4)]
    return [of_trimesh(mesh) for mesh in made]


@pytest.fixture(scope="session")
def folder(variants, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("meshes")
    for k, mesh in enumerate(variants):
        save(path / f"{k:03d}.obj", mesh)
    return path


@pytest.fixture(scope="session")
def shared_data() -> dict[str, np.ndarray]:
    """Artist-made meshes that lie beside the repository on some machines; never in it."""
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "lowpoly_cc0.npz"
    if not file.is_file():
        pytest.skip(f"{file} is not on this machine")
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}
