"""The nearest training mesh, and where training meshes come from."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.data.augment import mirror, rotate
from core.data.mesh import Mesh, normalize, sample_surface, save
from core.data.shapes import make_shape
from core.data.sources import FolderSource, PackedMeshes, ShapesSource
from core.evaluation.distances import chamfer
from core.evaluation.nearest import GRID_POINTS, PERMUTATIONS, POSES, NearestMeshes, distance_field
from core.evaluation.options import EvaluateConfig
from core.evaluation.surface import Frame, Surface, content_seed
from core.evaluation.trained_on import read_trained_on, weights_of_results
from core.evaluation.training import NotThereError, open_training, read_packed

ROOT = Path(__file__).resolve().parents[2]
POINTS = 2000


@pytest.fixture(scope="module")
def source() -> ShapesSource:
    return ShapesSource(0, 40, progress=False)


def framed(mesh: Mesh) -> tuple[Mesh, Surface]:
    mesh = Frame.of(mesh).apply(mesh)
    return mesh, Surface(mesh, POINTS, content_seed(mesh))


def test_poses_are_the_eight_that_keep_axes_upright():
    assert len({pose.astype(int).tobytes() for pose in POSES}) == 8
    for pose in POSES:
        assert np.allclose(pose @ pose.T, np.eye(3))
        assert pose[1].tolist() == [0, 1, 0]


def test_a_field_is_posed_by_a_permutation(source):
    mesh = normalize(source[3], 0.5)[0]
    for pose, places in zip(POSES, PERMUTATIONS, strict=True):
        assert np.allclose(GRID_POINTS[places], GRID_POINTS @ pose, atol=1e-6)
        posed = distance_field(Mesh(mesh.vertices @ pose, mesh.faces))
        assert np.abs(posed[places] - distance_field(mesh)).max() < 0.01  # the same points are sampled, turned


@pytest.mark.parametrize("degrees", [0, 90, 150, 300])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_training_mesh_is_found_however_it_stands(source, degrees, mirrored):
    nearest = NearestMeshes(source, 30)
    mesh = rotate(mirror(source[7]) if mirrored else source[7], degrees)
    mesh, surface = framed(Mesh(mesh.vertices * 12 + [5, 6, 7], mesh.faces))
    found = nearest.find(mesh, surface)
    assert found.name == source.name(7)
    again = Surface(mesh, POINTS, 1)
    assert found.figures["chamfer"] == pytest.approx(again.tree.query(surface.points)[0].mean(), rel=0.15)


class BruteForce:
    """Every pose of every mesh against a target: by few points first, and the best of those as `find` measures."""

    POINTS, MEASURED = 192, 30

    def __init__(self, nearest: NearestMeshes):
        self.nearest = nearest
        rows = range(len(nearest.fields))
        self.clouds = [self._sample(nearest._posed(row)[1], row) for row in rows]

    def _sample(self, mesh: Mesh, seed: int) -> np.ndarray:
        return sample_surface(mesh, self.POINTS, np.random.default_rng(seed))

    def distance(self, mesh: Mesh, surface: Surface) -> float:
        unit, placement = normalize(mesh, 0.5)
        cloud = self._sample(unit, 1)
        quick = np.array([[self._chamfer(points @ pose, cloud) for points in self.clouds] for pose in POSES])
        found = []
        for flat in np.argsort(quick, axis=None)[: self.MEASURED]:
            posed = self.nearest._posed(int(flat))[1]
            placed = Mesh(placement.invert(posed.vertices).astype(np.float32), posed.faces)
            found.append(chamfer(Surface(placed, surface.count, content_seed(placed)), surface))
        return min(found)

    def _chamfer(self, a: np.ndarray, b: np.ndarray) -> float:
        squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        return float(sum(np.sqrt(squares.min(axis=axis).clip(0)).mean() for axis in (0, 1))) / 2


def test_nothing_nearer_is_missed_at_the_poses_in_use():
    nearest = NearestMeshes(ShapesSource(0, 80, progress=False), EvaluateConfig("a", "b").rotate_step)
    brute = BruteForce(nearest)
    for index in range(100, 105):
        mesh, surface = framed(make_shape(5, index)[0])
        assert nearest.find(mesh, surface).figures["chamfer"] < 1.015 * brute.distance(mesh, surface)  # as points fall


def test_a_mesh_that_the_fields_place_behind_many_others_is_found(source):
    """Each of the others has 24 poses: where poses are counted and not meshes, a few others fill all places."""
    nearest = NearestMeshes(source, 30)
    rows = slice(7 * len(nearest.turns), 8 * len(nearest.turns))
    nearest.fields[rows] += 0.3
    nearest.squares = np.einsum("nd,nd->n", nearest.fields, nearest.fields)
    mesh, surface = framed(rotate(mirror(source[7]), 150))
    assert nearest.find(mesh, surface).name == source.name(7)


def test_some_of_the_meshes_can_be_searched_alone(source):
    nearest = NearestMeshes(source, 90, np.array([3, 7, 20]))
    assert len(nearest) == len(nearest.fields) == 3
    for number, found_in in ((7, True), (8, False)):
        mesh, surface = framed(source[number])
        found = nearest.find(mesh, surface)
        assert found.name in {source.name(k) for k in (3, 7, 20)}
        assert (found.name == source.name(number)) == found_in


def pack(path, meshes, splits):
    packed = PackedMeshes(meshes, [str(k) for k in range(len(meshes))])
    names = ("vertices", "faces", "vertex_offsets", "face_offsets")
    np.savez(path, **{name: getattr(packed, name) for name in names})
    rows = [json.dumps({"name": f"mesh {k}", "split": split}) for k, split in enumerate(splits)]
    path.with_suffix(".jsonl").write_text("\n".join(rows) + "\n")


def test_only_the_training_split_of_a_packed_set_is_read(source, tmp_path):
    path = tmp_path / "some.npz"
    pack(path, [source[k] for k in range(4)], ["train", "test_pack", "train", "train_tilecap"])
    packed = read_packed(path)
    assert packed.names.tolist() == ["mesh 0", "mesh 2"]
    assert np.allclose(packed[1].vertices, source[2].vertices, atol=1e-6)
    assert "2 meshes of" in open_training((str(path),)).told
    assert len(open_training((str(tmp_path),)).numbers) == 2
    path.with_suffix(".jsonl").write_text('{"split": "train"}\n')
    with pytest.raises(ValueError, match="4 meshes, but 1 rows"):
        read_packed(path)
    np.savez(path, vertices=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="lacks face_offsets"):
        read_packed(path)


def test_other_sources(source, tmp_path):
    assert open_training(("none",)) is None
    for k in range(3):
        save(tmp_path / f"{k}.obj", source[k])
    found = open_training((str(tmp_path), "shapes:5"), seed=3)
    assert len(found.source) == len(found.numbers) == 8
    assert "5 meshes of shapes:5 (procedural, seed 3)" in found.told
    with pytest.raises(ValueError, match="no such file or folder"):
        open_training((str(tmp_path / "nowhere"),))


def test_a_draw_from_the_training_meshes_is_asked_for_and_told():
    found = open_training(("shapes:12",), most=5)
    assert len(found.numbers) == len(set(found.numbers.tolist())) == 5
    assert "5 of these 12, drawn at random" in found.told
    everything = open_training(("shapes:12",), most=12)
    assert len(everything.numbers) == 12
    assert "drawn" not in everything.told


# ---- what the weights' own config.json says


def write_config(folder, data, shapes=6, fraction=0.0, most=400, dense=False, seed=4, resume="") -> str:
    folder.mkdir(exist_ok=True)
    options = {
        "data": {
            "data": list(map(str, data)),
            "num_shapes": shapes,
            "shapes_fraction": fraction,
            "max_face_length": most,
            "use_dense_meshes": dense,
        },
        "train": {"seed": seed, "resume": str(resume)},
    }
    (folder / "config.json").write_text(json.dumps({"options": options}))
    (folder / "model.safetensors").touch()
    return str(folder / "model.safetensors")


@pytest.fixture
def meshes(source, tmp_path):
    """A folder of five meshes of different sizes, none of them in the test split."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    for k in range(5):
        save(folder / f"{k}.obj", source[k])
    assert len(FolderSource(folder).train) == 5
    return folder


def test_the_default_is_what_the_weights_were_trained_on(meshes, source, tmp_path):
    """Folders, each once, and the procedural shapes beside them, of the training's seed."""
    weights = write_config(tmp_path / "a", [meshes, meshes], fraction=0.3)
    found = open_training((), weights, seed=9)
    assert f"5 meshes of {meshes}, 6 meshes of shapes:6 (procedural, seed 4), as {tmp_path}" in found.told
    shapes = ShapesSource(4, 6, progress=False)
    names = [found.source.name(int(k)) for k in found.numbers]
    assert sorted(names[:5]) == [f"{k}.obj" for k in range(5)]
    assert names[5:] == [shapes.name(k) for k in range(6)]
    assert np.array_equal(found.source[10].vertices, shapes[5].vertices)
    without = open_training((), write_config(tmp_path / "b", [meshes]))
    assert len(without.numbers) == 5
    only_shapes = open_training((), write_config(tmp_path / "d", []))
    assert only_shapes.told.startswith("6 meshes of shapes:6 (procedural, seed 4)")
    # Words that name shapes mean the training's as well.
    assert "procedural, seed 4" in open_training(("shapes:2",), weights, seed=9).told


def test_meshes_that_training_left_out_are_no_training_meshes(meshes, source, tmp_path):
    sizes = sorted(len(source[k].faces) for k in range(5))
    most = next(size for size in sizes if sum(s <= 4 * size for s in sizes) > sum(s <= size for s in sizes))
    small = open_training((), write_config(tmp_path / "a", [meshes], most=most))
    dense = open_training((), write_config(tmp_path / "b", [meshes], most=most, dense=True))
    assert len(small.numbers) == sum(size <= most for size in sizes) < 5
    assert len(dense.numbers) == sum(size <= 4 * most for size in sizes) > len(small.numbers)


def test_runs_before_count_as_well(meshes, tmp_path):
    first = write_config(tmp_path / "first", [], shapes=3, seed=1)
    second = write_config(tmp_path / "second", [meshes], resume=first)
    assert "3 meshes of shapes:3 (procedural, seed 1)" in open_training((), second).told
    lost = write_config(tmp_path / "third", [meshes], resume=tmp_path / "gone")
    assert f"(what {tmp_path / 'gone'} was trained on before is not known)" in open_training((), lost).told
    itself = write_config(tmp_path / "fourth", [meshes], resume=tmp_path / "fourth")
    assert "is not known)" in open_training((), itself).told


def test_data_that_is_not_there_leaves_the_baseline_out(meshes, tmp_path):
    """Half of what was trained on would make a model look better than it is."""
    gone = write_config(tmp_path / "a", [meshes, tmp_path / "gone"], fraction=0.3)
    with pytest.raises(NotThereError, match=r"gone, which .*config.json says was trained on, cannot be read here"):
        open_training((), gone)
    (tmp_path / "b").mkdir()
    for weights, reason in (("", "nobody says"), (str(tmp_path / "b"), "has no config.json"), ("owner/name", "has no")):
        with pytest.raises(NotThereError, match=reason):
            open_training((), weights)
    (tmp_path / "b" / "config.json").write_text('{"options": {}}')
    with pytest.raises(NotThereError, match="does not say what was trained on"):
        open_training((), str(tmp_path / "b"))


def test_the_shipped_weights_say_what_they_were_trained_on():
    runs = read_trained_on(str(ROOT / "pretrained" / "ArAE-tiny"))
    assert [entry.shapes for entry in runs[0].entries][-1] == 20000
    assert (runs[0].seed, runs[0].most_faces) == (0, 1600)


def test_the_weights_of_a_folder_of_results_are_those_of_its_latest_run(tmp_path):
    assert weights_of_results(tmp_path) == ""
    lines = ["infer.py ArAE-tiny --resume first --test_path x", "infer.py ArAE-tiny --test_path x --resume second"]
    text = "".join(json.dumps({"fingerprint": "f", "command": line, "options": {}}) + "\n" for line in lines)
    (tmp_path / "runs.jsonl").write_text(text + '{"half')
    assert weights_of_results(tmp_path) == "second"
