import hashlib
import logging
import os
import shutil

import numpy as np
import pytest

from core.data import sources
from core.data.augment import AugmentConfig
from core.data.dataset import DataConfig, MeshDataset, MixDataset, build_datasets, snap
from core.data.finish import finish
from core.data.mesh import Mesh, normalize
from core.data.sources import FolderSource, PackedMeshes, ShapesSource, is_test
from core.tokens import Tokenizer, TokenizerConfig

SIZES = {"point_num": 64, "max_seq_length": 4000}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TokenizerConfig(discrete_bins=128))


@pytest.fixture(scope="module")
def packed(variants) -> PackedMeshes:
    return PackedMeshes([normalize(m)[0] for m in variants], [f"mesh-{k}" for k in range(len(variants))])


def same(a, b) -> bool:
    return np.array_equal(a.ids, b.ids) and np.array_equal(a.points, b.points) and a[2:] == b[2:]


# ---- sources


def test_packing_loses_nothing(variants, packed):
    for k, mesh in enumerate(variants):
        np.testing.assert_array_equal(packed[k].faces, mesh.faces)
        np.testing.assert_array_equal(packed[k].vertices, normalize(mesh)[0].vertices)
    assert packed.name(3) == "mesh-3"
    with pytest.raises(IndexError, match="40"):
        packed[40]
    joined = PackedMeshes.join([packed, packed])
    np.testing.assert_array_equal(joined[45].vertices, packed[5].vertices)
    assert (len(joined), joined.name(45)) == (80, "mesh-5")


def test_adding_files_never_moves_one_across(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "TEST_SHARE", 0.3)
    files = sorted(folder.iterdir())
    for file in files[:20]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = FolderSource(tmp_path)
    for file in files[20:]:
        (tmp_path / f"new-{file.name}").write_bytes(file.read_bytes())
    after = FolderSource(tmp_path)
    assert len(before.test)
    assert len(before.train)
    assert set(before.test.names) == {name for name in after.test.names if "new" not in name}
    assert set(before.train.names) == {name for name in after.train.names if "new" not in name}
    assert len(after.train) + len(after.test) == 40


def test_the_hash_of_the_content_alone_decides(folder, tmp_path):
    digests = [hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in folder.iterdir()]
    tests = sum(map(is_test, digests))
    for k, file in enumerate(sorted(folder.iterdir())):
        (tmp_path / "deep" / str(k % 3)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "deep" / str(k % 3) / f"renamed{k}.obj").write_bytes(file.read_bytes())
    assert len(FolderSource(tmp_path).test) == tests
    share = np.mean([is_test(hashlib.blake2b(bytes([k % 256, k // 256])).hexdigest()) for k in range(20000)])
    assert share == pytest.approx(0.02, abs=0.004)


def test_broken_files_cost_themselves_only(folder, tmp_path, caplog):
    for file in sorted(folder.iterdir())[:5]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "nan.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "empty.ply").touch()
    (tmp_path / "broken.glb").write_bytes(b"glTF" + bytes(30))
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    (tmp_path / "line.obj").write_text("v 0 0 0\nv 1 0 0\nf 1 2 2\n")
    with caplog.at_level(logging.WARNING):
        source = FolderSource(tmp_path)
    assert len(source.train) + len(source.test) == 5
    reasons = {name.split("/")[-1]: reason for name, reason in source.rejected}
    assert set(reasons) == {"nan.obj", "empty.ply", "broken.glb", "points.obj", "line.obj"}
    assert all(name in reason for name, reason in reasons.items())
    assert "5 of 10 files" in caplog.text


def test_a_pipe_a_device_and_a_loop_are_not_read(folder, tmp_path, caplog):
    tmp_path = tmp_path / "few"
    tmp_path.mkdir()
    shutil.copy(next(iter(sorted(folder.glob("*.obj")))), tmp_path / "good.obj")
    os.mkfifo(tmp_path / "pipe.obj")
    os.symlink("/dev/zero", tmp_path / "device.stl")
    os.symlink(tmp_path, tmp_path / "loop")
    source = FolderSource(tmp_path)
    assert len(source.train) + len(source.test) == 1
    assert len(source.rejected) == 2
    assert "2 of 3 files cannot be used" in caplog.text
    assert "pipe.obj: a pipe, not a file" in caplog.text
    assert "device.stl: a device, not a file" in caplog.text


def test_folders_without_meshes(tmp_path):
    with pytest.raises(ValueError, match="no file in this folder"):
        FolderSource(tmp_path)
    with pytest.raises(ValueError, match="nowhere"):
        FolderSource(tmp_path / "nowhere")
    (tmp_path / "bad.obj").write_text("nothing")
    with pytest.raises(ValueError, match=r"none of its 1 files .*bad\.obj"):
        FolderSource(tmp_path)


def test_many_files_are_read_alike_by_a_pool(folder, monkeypatch):
    alone = FolderSource(folder)
    monkeypatch.setattr(sources, "POOL_FROM", 10)
    monkeypatch.setattr(sources, "cpu_count", lambda: 2)
    pooled = FolderSource(folder, progress=False)
    assert list(pooled.train.names) == list(alone.train.names)
    np.testing.assert_array_equal(pooled.train.vertices, alone.train.vertices)


def test_shapes_do_not_depend_on_their_count():
    few, more = ShapesSource(7, 3, progress=False), ShapesSource(7, 5, progress=False)
    for k in range(3):
        np.testing.assert_array_equal(few[k].faces, more[k].faces)
        assert few.name(k) == more.name(k)
        assert np.abs(few[k].vertices).max() == pytest.approx(0.95, rel=1e-5)
    assert not np.array_equal(ShapesSource(8, 1, progress=False)[0].vertices, few[0].vertices)


# ---- samples


def test_a_sample_is_a_function_of_seed_epoch_and_index(packed, tokenizer):
    def dataset(seed):
        return MeshDataset(packed, tokenizer, DataConfig(), train=True, seed=seed, **SIZES)

    one, other = dataset(1), dataset(1)
    other[(5, 3)], other[(0, 1)]  # whatever was asked before
    assert all(same(one[(2, k)], other[(2, k)]) for k in range(len(one)))
    assert not same(one[(2, 3)], one[(3, 3)])
    assert not same(one[(2, 3)], dataset(2)[(2, 3)])
    one.set_epoch(2)
    assert same(one[3], one[(2, 3)])


def test_samples_hold_what_the_mesh_is(packed, tokenizer):
    dataset = MeshDataset(packed, tokenizer, DataConfig(), train=True, **SIZES)
    for k in range(len(dataset)):
        sample = dataset[(1, k)]
        mesh = finish(Mesh(*tokenizer.decode(sample.ids)))
        assert (sample.ids.dtype, sample.points.dtype, sample.points.shape) == (np.int64, np.float32, (64, 3))
        assert len(mesh.faces) == sample.num_faces
        low, high = mesh.vertices.min(axis=0) - 0.08, mesh.vertices.max(axis=0) + 0.08
        assert ((sample.points > low) & (sample.points < high)).all()
    assert sample.name == packed.name(k)


def test_evaluation_sees_the_plain_mesh_at_95_percent(packed, tokenizer):
    dataset = MeshDataset(packed, tokenizer, DataConfig(testset_size=10), train=False, **SIZES)
    assert len(dataset) == 10
    assert same(dataset[(0, 4)], dataset[(9, 4)])
    expected = tokenizer.encode(*snap(packed[4], 128))
    np.testing.assert_array_equal(dataset[4].ids, expected)
    assert np.abs(dataset[4].points).max() <= 0.951


def test_without_points(packed, tokenizer):
    dataset = MeshDataset(packed, tokenizer, DataConfig(), train=True, point_num=0, max_seq_length=4000)
    assert dataset[0].points is None


def test_too_long_meshes_are_left_out_and_counted(packed, tokenizer, caplog):
    config = DataConfig(max_face_length=100, augment=AugmentConfig(use_decimate_aug=False))
    with caplog.at_level(logging.WARNING):
        dataset = MeshDataset(packed, tokenizer, config, train=True, point_num=8, max_seq_length=120)
    kept = [packed.name(int(k)) for k in dataset.items]
    fits = [packed.name(k) for k in range(40) if len(tokenizer.encode(*snap(packed[k], 128))) <= 120]
    assert kept == fits
    assert f"{40 - len(fits)} of 40 training meshes" in caplog.text
    assert 0 < len(fits) < 36
    assert all(len(dataset[(e, k)].ids) <= 120 for e in range(5) for k in range(len(dataset)))
    with pytest.raises(ValueError, match=r"none of 40 .*--max_seq_length"):
        MeshDataset(packed, tokenizer, config, train=True, point_num=8, max_seq_length=20)


def test_an_augmented_mesh_that_gets_too_long_gives_way_to_the_plain_one(packed, tokenizer):
    """Vertices that coincide in the plain mesh's cells part when it is stretched: faces come back."""
    n = 24
    angles = np.arange(n) * 2 * np.pi / n
    ring = np.stack([np.cos(angles), np.zeros(n), np.sin(angles) * 0.012], axis=1)
    vertices = np.concatenate([ring, ring + [0, 1, 0]]).astype(np.float32)
    k, after = np.arange(n), (np.arange(n) + 1) % n
    faces = np.concatenate([np.stack([k, k + n, after], 1), np.stack([after, k + n, after + n], 1)]).astype(np.int32)
    source = PackedMeshes([normalize(Mesh(vertices, faces))[0]], ["ring"])
    config = DataConfig(augment=AugmentConfig(use_stretch_aug=True, stretch_limit=4, use_rotate_aug=True))
    plain = tokenizer.encode(*snap(source[0], 128))
    dataset = MeshDataset(source, tokenizer, config, train=True, point_num=8, max_seq_length=len(plain))
    lengths = [len(dataset[(e, 0)].ids) for e in range(60)]
    given_way = [e for e in range(60) if np.array_equal(dataset[(e, 0)].ids, plain)]
    assert max(lengths) <= len(plain)
    assert given_way
    free = MeshDataset(source, tokenizer, config, train=True, point_num=8, max_seq_length=4000)
    assert all(len(free[(e, 0)].ids) > len(plain) or same(free[(e, 0)], dataset[(e, 0)]) for e in given_way)


def test_dense_meshes_join_when_asked(packed, tokenizer):
    config = DataConfig(max_face_length=110, use_dense_meshes=True)
    dense = {packed.name(k) for k in range(40) if len(packed[k].faces) > 110}
    dataset = MeshDataset(packed, tokenizer, config, train=True, **SIZES)
    samples = [dataset[(e, k)] for e in range(3) for k in range(len(dataset))]
    assert dense
    assert dense <= {s.name for s in samples}
    assert max(s.num_faces for s in samples) <= 110
    plain = MeshDataset(packed, tokenizer, config, train=False, **SIZES)
    assert not dense & {plain[k].name for k in range(len(plain))}


def test_a_mix_goes_round_through_a_larger_pool(packed, tokenizer):
    one = MeshDataset(packed, tokenizer, DataConfig(), train=True, **SIZES)
    pool = MeshDataset(ShapesSource(0, 10, progress=False), tokenizer, DataConfig(), train=True, **SIZES)
    mix = MixDataset([one, pool], [40, 4], seed=0)
    assert len(mix) == 44
    seen = [[mix[(epoch, 40 + j)].name for j in range(4)] for epoch in range(5)]
    assert len({name for names in seen for name in names}) == 10
    assert seen[0] != seen[1]
    assert mix[(3, 7)].name == "mesh-7"
    assert len(mix.lengths(1)) == 44
    assert mix.lengths(1)[40] == pool.lengths(0)[4]
    assert same(mix[(1, 42)], mix[(1, 42)])


# ---- snapping


def test_snapping_is_what_tokens_can_say(shared_data, tokenizer):
    """Encoding and decoding a snapped mesh gives exactly its faces, for artist-made meshes with all their flaws."""
    vo, fo = shared_data["vertex_offsets"], shared_data["face_offsets"]
    for i in range(0, 4691, 60):
        mesh = Mesh(shared_data["vertices"][vo[i] : vo[i + 1]], shared_data["faces"][fo[i] : fo[i + 1]])
        snapped = snap(normalize(mesh)[0], 128)
        decoded = Mesh(*tokenizer.decode(tokenizer.encode(*snapped)))
        for kept in (snapped, decoded):
            assert len(kept.faces) <= len(mesh.faces)
        assert corners(decoded) == corners(snapped)


def corners(mesh: Mesh) -> list:
    """Faces as sorted cell positions, in order: the mesh whatever its numbering and orientation."""
    cells = np.rint((mesh.vertices[mesh.faces] + 1) * 64 - 0.5).astype(int)
    return sorted(sorted(map(tuple, face)) for face in cells.tolist())


def test_snapping_merges_within_a_cell_and_drops_what_collapses():
    vertices = np.array([[0, 0, 0], [0.001, 0, 0], [0.9, 0, 0], [0, 0.9, 0]], np.float32)
    mesh = snap(Mesh(vertices, np.array([[0, 2, 3], [1, 2, 3], [0, 1, 3]], np.int32)), 64)
    assert (len(mesh.vertices), len(mesh.faces)) == (3, 1)
    edge = snap(Mesh(np.array([[-1, -1, -1], [1, 1, 1], [1, -1, 0]], np.float32), np.array([[0, 1, 2]])), 64)
    np.testing.assert_allclose(np.abs(edge.vertices).max(), 1 - 1 / 64)


# ---- configurations


def test_a_bare_machine_trains_on_shapes(tokenizer):
    train, test = build_datasets(DataConfig(num_shapes=12, testset_size=4), tokenizer, **SIZES)
    assert (len(train), len(test)) == (12, 4)
    assert not {train[(0, k)].ids.tobytes() for k in range(12)} & {test[k].ids.tobytes() for k in range(4)}


def test_folders_and_shapes_together(folder, tokenizer):
    config = DataConfig(data=(str(folder),), num_shapes=30, shapes_fraction=0.25)
    train, test = build_datasets(config, tokenizer, **SIZES)
    ours = len(FolderSource(folder).train)
    assert len(train) == ours + round(ours / 3)
    assert {train[(0, k)].name.endswith(".obj") for k in range(len(train))} == {True, False}
    none, again = build_datasets(config, tokenizer, train=False, **SIZES)
    assert none is None
    assert len(again) == len(test)


@pytest.mark.parametrize(
    "options",
    [{"num_shapes": 0}, {"max_face_length": 0}, {"num_workers": -1}, {"testset_size": -1}, {"shapes_fraction": 1.0}],
)
def test_impossible_options(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"--{name} {value}"):
        DataConfig(**options)
