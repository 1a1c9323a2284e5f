"""The baselines of benchmarks/dit.py that need no model."""

import numpy as np
import pytest

from core.data.mesh import Mesh, normalize, save
from core.data.shapes import make_shape
from tests.doc_commands import script

dit = script("benchmarks/dit.py")


def area(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def shapes(count: int) -> list[Mesh]:
    return [normalize(make_shape(3, k)[0])[0] for k in range(count)]


def test_the_box_has_the_objects_extent_and_its_own_surface():
    mesh = shapes(1)[0]
    box = dit.bounding_box(mesh)
    sides = np.ptp(mesh.vertices, axis=0)
    np.testing.assert_allclose(np.ptp(box.vertices, axis=0), sides)
    np.testing.assert_allclose(box.vertices.min(axis=0), mesh.vertices.min(axis=0))
    expected = 2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[2] * sides[0])
    assert area(box) == pytest.approx(expected, rel=1e-5)  # each side once, none crossed


def test_siblings_are_other_shapes_of_the_same_families(monkeypatch):
    asked = []

    def recorded(seed, index, families=None):
        mesh, family = make_shape(seed, index, families)
        asked.append((seed, family))
        return mesh, family

    monkeypatch.setattr(dit, "make_shape", recorded)
    objects, siblings = dit.make_objects(4, 10_000)
    assert [family for _, family in asked[::2]] == [family for _, family in asked[1::2]]
    assert {seed for seed, _ in asked[::2]}.isdisjoint({seed for seed, _ in asked[1::2]})
    for mesh, sibling in zip(objects, siblings, strict=True):
        assert mesh.vertices.shape != sibling.vertices.shape or not np.allclose(mesh.vertices, sibling.vertices)


def test_siblings_of_a_folder_are_the_next_by_name(tmp_path):
    for k, mesh in enumerate(shapes(3)):
        save(tmp_path / f"{k}.obj", mesh)
    objects, siblings = dit.read_objects(str(tmp_path), 3, 10_000)
    assert [len(m.faces) for m in siblings] == [len(objects[k].faces) for k in (1, 2, 1)]
    with pytest.raises(ValueError, match="at least 2"):
        dit.read_objects(str(tmp_path), 3, 1)


def test_wins_count_objects_nearer_than_the_baseline():
    objects = shapes(4)
    far = [Mesh(mesh.vertices + 5, mesh.faces) for mesh in objects]
    figures = dit.compare_baselines(objects[:3] + far[3:], objects, {"box": [dit.bounding_box(m) for m in objects]})
    assert figures["wins_over_box"] == 0.75
    assert 0 < figures["box_median"] < 1
