"""The endless set of procedural meshes: what every shape keeps to, and what the set as a whole contains."""

from collections import Counter

import numpy as np
import pytest

from core.data.mesh import Mesh, clean
from core.data.shapes import FAMILIES, MAX_FACES, MIN_FACES, make_parts, make_shape

COUNT = 1200


@pytest.fixture(scope="module")
def shapes() -> list[tuple[Mesh, str]]:
    return [make_shape(0, index) for index in range(COUNT)]


def half_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edge number of each of the 3 F half edges, its direction (+-1), and how many half edges each edge has."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, edge, count = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True, return_counts=True)
    return edge, np.where(pairs[:, 0] < pairs[:, 1], 1, -1), count


def components(faces: np.ndarray) -> np.ndarray:
    """A label (F,) that faces share when they are connected through edges with exactly two faces."""
    edge, _, count = half_edges(faces)
    face = np.tile(np.arange(len(faces)), 3)
    label = np.arange(len(faces))
    order = np.argsort(edge, kind="stable")
    starts = np.cumsum(count) - count
    first, second = face[order[starts[count == 2]]], face[order[starts[count == 2] + 1]]
    while True:
        low = label.copy()
        np.minimum.at(low, first, label[second])
        np.minimum.at(low, second, label[first])
        low = low[low]
        if np.array_equal(low, label):
            return label
        label = low


def test_same_seed_and_index_give_the_same_mesh():
    for index in (0, 5, 1_000_000):
        (a, name), (b, other) = make_shape(3, index), make_shape(3, index)
        assert name == other
        np.testing.assert_array_equal(a.vertices, b.vertices)
        np.testing.assert_array_equal(a.faces, b.faces)


def test_every_index_and_seed_gives_another_mesh(shapes):
    seen = Counter(mesh.vertices.tobytes() + mesh.faces.tobytes() for mesh, _ in shapes)
    seen.update(mesh.vertices.tobytes() + mesh.faces.tobytes() for mesh, _ in (make_shape(1, k) for k in range(100)))
    assert seen.most_common(1)[0][1] == 1


def test_all_families_are_drawn(shapes):
    assert len(FAMILIES) >= 25
    assert {name for _, name in shapes} == set(FAMILIES)


def test_a_choice_of_families():
    names = {make_shape(0, index, ["mug", "sword"])[1] for index in range(20)}
    assert names == {"mug", "sword"}


@pytest.mark.parametrize("families", [["mug", "spaceship"], []])
def test_unknown_families_are_refused(families):
    with pytest.raises(ValueError, match="expected some of"):
        make_shape(0, 0, families)


def test_types_and_frame(shapes):
    for mesh, name in shapes:
        assert mesh.vertices.dtype == np.float32, name
        assert mesh.faces.dtype == np.int32, name
        assert np.isfinite(mesh.vertices).all(), name
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        np.testing.assert_allclose((high - low).max(), 1, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(low + high, 0, atol=1e-5, err_msg=name)
        assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices))), name


def test_face_counts(shapes):
    counts = np.array([len(mesh.faces) for mesh, _ in shapes])
    assert counts.min() >= MIN_FACES
    assert counts.max() <= MAX_FACES
    assert (counts <= 200).mean() > 0.5
    assert (counts > 300).mean() > 0.05


def test_no_degenerate_and_no_duplicate_faces(shapes):
    for index, (mesh, name) in enumerate(shapes):
        corners = np.sort(mesh.faces, axis=1)
        assert (np.diff(corners, axis=1) > 0).all(), (index, name)
        assert len(np.unique(corners, axis=0)) == len(corners), (index, name)
        a, b, c = mesh.vertices.astype(np.float64)[mesh.faces].swapaxes(0, 1)
        longest = np.max([np.linalg.norm(e, axis=1) for e in (b - a, c - b, a - c)], axis=0)
        height = np.linalg.norm(np.cross(b - a, c - a), axis=1) / longest
        assert height.min() > 1e-5, (index, name)


def test_neighbours_agree_and_closed_parts_look_outward(shapes):
    closed_parts = 0
    for index, (mesh, name) in enumerate(shapes):
        edge, direction, count = half_edges(mesh.faces)
        assert (np.bincount(edge, direction)[count == 2] == 0).all(), (index, name)
        label = components(mesh.faces)
        a, b, c = mesh.vertices.astype(np.float64)[mesh.faces].swapaxes(0, 1)
        volume = np.bincount(label, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6, minlength=len(label))
        rough = label[np.tile(np.arange(len(mesh.faces)), 3)[count[edge] != 2]]
        closed = np.setdiff1d(label, rough)
        assert (volume[closed] > 0).all(), (index, name)
        closed_parts += len(closed)
    assert closed_parts > 2 * COUNT


def test_the_set_has_open_non_manifold_and_many_part_meshes(shapes):
    edge_counts = [half_edges(mesh.faces)[2] for mesh, _ in shapes]
    is_open = np.array([(count == 1).any() for count in edge_counts])
    parts = np.array([len(np.unique(components(mesh.faces))) for mesh, _ in shapes])
    assert 0.2 < is_open.mean() < 0.6
    assert np.mean([(count > 2).any() for count in edge_counts]) > 0.02
    assert (parts == 1).mean() > 0.15
    assert (parts > 4).mean() > 0.15


def test_cleaning_finds_nothing_to_clean(shapes):
    for index, (mesh, name) in enumerate(shapes[:300]):
        cleaned = clean(mesh)
        assert len(cleaned.vertices) == len(mesh.vertices), (index, name)
        assert len(cleaned.faces) == len(mesh.faces), (index, name)


def test_parts_label_every_face():
    for index in range(100):
        mesh, name, part = make_parts(0, index)
        np.testing.assert_array_equal(mesh.faces, make_shape(0, index)[0].faces)
        assert part.shape == (len(mesh.faces),), name
        assert part.min() >= 0, name
    assert max(make_parts(0, index)[2].max() for index in range(20)) >= 2


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_alone_varies(name):
    meshes = [FAMILIES[name](np.random.default_rng(seed)) for seed in range(6)]
    assert all(MIN_FACES <= len(mesh.faces) <= MAX_FACES for mesh in meshes)
    assert len({mesh.vertices.tobytes() for mesh in meshes}) == 6


def test_written_as_files(tmp_path, monkeypatch, capsys):
    from core.data.mesh import load
    from core.data.shapes.__main__ import main

    monkeypatch.setattr("sys.argv", ["shapes", str(tmp_path), "--count", "3", "--family", "mug", "--suffix", ".ply"])
    main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000_mug.ply", "00001_mug.ply", "00002_mug.ply"]
    np.testing.assert_array_equal(load(tmp_path / "00001_mug.ply").faces, make_shape(0, 1, ["mug"])[0].faces)
    monkeypatch.setattr("sys.argv", ["shapes", str(tmp_path), "--family", "spaceship"])
    with pytest.raises(SystemExit, match="spaceship"):
        main()
