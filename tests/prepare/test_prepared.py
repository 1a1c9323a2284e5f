"""Reading prepared sets: random access, mixes by weight, known lengths, cached tokens."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

from core.data.augment import AugmentConfig, decimate
from core.data.batch import BatchSampler, make_loader
from core.data.dataset import DataConfig, MeshDataset, MixDataset, build_datasets, share_out
from core.data.entries import Entry, parse_entries, parse_entry
from core.data.mesh import Mesh, normalize, save
from core.data.prepare.options import Rules
from core.data.prepare.run import prepare
from core.data.prepared import PreparedSource
from core.data.snap import snap
from core.data.sources import FolderSource, JoinedMeshes, PackedMeshes
from core.tokens import Tokenizer, TokenizerConfig

SIZES = {"point_num": 32, "max_seq_length": 4000}
TOKENIZER = Tokenizer(TokenizerConfig(discrete_bins=512))
STILL = AugmentConfig(use_decimate_aug=False, use_scale_aug=False, use_rotate_aug=False)


def test_a_prepared_set_holds_what_the_folder_holds(made, source):
    prepared = PreparedSource(str(made), "train")
    folder = FolderSource(source, progress=False)
    by_name = {folder.train.name(k): folder.train[k] for k in range(len(folder.train))}
    assert len(prepared) == len(folder.train)
    assert len(PreparedSource(str(made), "test")) == len(folder.test)
    for k in np.random.default_rng(0).permutation(len(prepared)).tolist():
        mesh = by_name[prepared.name(k)]
        np.testing.assert_array_equal(prepared[k].vertices, mesh.vertices)
        np.testing.assert_array_equal(prepared[k].faces, mesh.faces)
    with pytest.raises(IndexError, match=str(len(prepared))):
        prepared[len(prepared)]
    assert not prepared[3].vertices.flags.owndata  # out of the mapped file
    copy = pickle.loads(pickle.dumps(prepared))
    np.testing.assert_array_equal(copy[7].vertices, prepared[7].vertices)


def test_shapes_with_colors_and_views(tmp_path, make_config):
    prepare(make_config("shapes:6", tmp_path / "set", views=2, view_size=64))
    train = PreparedSource(str(tmp_path / "set"), "train")
    for k in range(len(train)):
        assert train.colors(k).shape == train[k].faces.shape
        assert [picture.size for picture in train.views(k)] == [(64, 64)] * 2
        assert train.views(k)[0].mode == "RGBA"
    assert train.column("source").tolist() == ["procedural"] * len(train)


def test_lengths_are_known_for_the_set_s_own_tokenizer(made):
    prepared = PreparedSource(str(made), "train")
    faces, tokens = prepared.known_lengths(TOKENIZER.config)
    for k in range(0, len(prepared), 7):
        assert faces[k] == len(prepared[k].faces)
        assert tokens[k] == len(TOKENIZER.encode(*snap(normalize(prepared[k])[0], 512)))
    assert prepared.known_lengths(TokenizerConfig(discrete_bins=128)) is None
    config = DataConfig(max_face_length=30)
    told = MeshDataset(prepared, TOKENIZER, config, train=True, **SIZES)
    packed = PackedMeshes([prepared[k] for k in range(len(prepared))], [prepared.name(k) for k in range(len(prepared))])
    counted = MeshDataset(packed, TOKENIZER, config, train=True, **SIZES)
    np.testing.assert_array_equal(told.items, counted.items)
    np.testing.assert_array_equal(told.token_counts, counted.token_counts)


def test_training_reads_it_as_it_reads_a_folder(made):
    train, test = build_datasets(DataConfig(data=(str(made),)), TOKENIZER, **SIZES)
    assert len(train) + len(test) == 60
    sampler = BatchSampler(train, 8, seed=1)
    loaded = [[b.ids.numpy() for b in make_loader(train, sampler, workers)] for workers in (0, 1)]
    for one, other in zip(*loaded, strict=True):
        np.testing.assert_array_equal(one, other)


def test_mapped_meshes_can_be_decimated(tmp_path, make_config):
    save(tmp_path / "ball.obj", Mesh(*(np.asarray(a) for a in read_ball())))
    prepare(make_config(tmp_path / "ball.obj", tmp_path / "set"))
    ball = JoinedMeshes([PreparedSource(str(tmp_path / "set"), split) for split in ("train", "test")])[0]
    assert not ball.faces.flags.writeable
    assert 250 <= len(decimate(ball, 300).faces) <= 310


def read_ball():
    import trimesh

    ball = trimesh.creation.icosphere(3)
    return ball.vertices.astype(np.float32), ball.faces.astype(np.int32)


# ---- entries and weights


@pytest.mark.parametrize(
    ("word", "entry"),
    [
        ("meshes", Entry("meshes")),
        ("sets/a:0.7", Entry("sets/a", 0.7)),
        ("shapes:100", Entry("", None, 100)),
        ("shapes:100:0.3", Entry("", 0.3, 100)),
        ("s3://bucket/set", Entry("s3://bucket/set")),
        ("s3://bucket/set:2", Entry("s3://bucket/set", 2.0)),
    ],
)
def test_entries(word, entry):
    assert parse_entry(word) == entry


@pytest.mark.parametrize("words", [("a:0.7", "b"), ("a:0",), ("a:heavy",), ("shapes:many",), ("shapes:5:-1",)])
def test_no_entries(words):
    with pytest.raises(ValueError, match="--data"):
        parse_entries(words)
    with pytest.raises(ValueError, match="--data"):
        DataConfig(data=words)


def test_a_folder_may_have_a_colon_in_its_name(tmp_path):
    (tmp_path / "a:0.5").mkdir()
    assert parse_entry(f"{tmp_path}/a:0.5") == Entry(f"{tmp_path}/a:0.5")


def test_weights_share_out_an_epoch(made, source):
    config = DataConfig(data=(f"{made}:0.5", f"{source}:0.3", "shapes:20:0.2"))
    train, test = build_datasets(config, TOKENIZER, **SIZES)
    assert isinstance(train, MixDataset)
    total = sum(len(part) for part in train.parts)
    assert train.counts == [round(total * w) for w in (0.5, 0.3, 0.2)]
    again, _ = build_datasets(config, TOKENIZER, **SIZES)
    for epoch, index in ((0, 0), (3, len(train) - 1), (5, 40)):
        one, other = train[(epoch, index)], again[(epoch, index)]
        assert one.name == other.name
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.points, other.points)
    names = [train[(e, k)].name for e in range(3) for k in range(train.counts[0])]
    assert len(set(names)) == len(train.parts[0])  # every mesh has had its turn
    assert len(test)
    assert share_out(10, [1000, 1]) == [10, 1]
    with pytest.raises(ValueError, match="--shapes_fraction"):
        DataConfig(data=(f"{made}:1",), shapes_fraction=0.5)


def test_without_weights_all_are_one_set(made):
    train, test = build_datasets(DataConfig(data=(str(made), "shapes:10")), TOKENIZER, **SIZES)
    sizes = [len(PreparedSource(str(made), split)) for split in ("train", "test")]
    assert (len(train), len(test)) == (sizes[0] + 10, sizes[1])
    only = build_datasets(DataConfig(data=("shapes:10",), testset_size=3), TOKENIZER, **SIZES)
    assert [len(part) for part in only] == [10, 3]


def test_joined_sources_know_their_places(made):
    train, test = (PreparedSource(str(made), split) for split in ("train", "test"))
    joined = JoinedMeshes.of([train, PackedMeshes([], []), train])
    assert len(joined) == 2 * len(train)
    assert joined.name(len(train) + 3) == train.name(3)
    np.testing.assert_array_equal(joined[len(train)].faces, train[0].faces)
    assert len(joined.known_lengths(TOKENIZER.config)[0]) == len(joined)
    assert joined.fingerprint() != train.fingerprint()
    assert JoinedMeshes.of([test]) is test


# ---- cached tokens


def test_cached_tokens_are_those_that_are_written(made, tmp_path, monkeypatch):
    config = DataConfig(data=(str(made),), augment=STILL, max_face_length=30)
    cached = DataConfig(data=(str(made),), augment=STILL, max_face_length=30, token_cache=str(tmp_path))
    plain = build_datasets(config, TOKENIZER, **SIZES)
    first = build_datasets(cached, TOKENIZER, **SIZES)
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert len(folders) == 2
    monkeypatch.setattr(MeshDataset, "_write", None)  # from here on nothing is tokenized
    second = build_datasets(cached, TOKENIZER, **SIZES)
    assert sorted(path.name for path in tmp_path.iterdir()) == folders
    monkeypatch.undo()
    for one, *others in zip(plain, first, second, strict=True):
        for other in others:
            assert len(one) == len(other)
            for k in range(0, len(one), 5):
                np.testing.assert_array_equal(one[(1, k)].ids, other[(1, k)].ids)
                np.testing.assert_array_equal(one[(1, k)].points, other[(1, k)].points)
    build_datasets(cached, Tokenizer(TokenizerConfig(discrete_bins=64)), **SIZES)
    assert len(list(tmp_path.iterdir())) == 4


# ---- what is no set


def test_half_a_set_is_refused(made, tmp_path):
    shutil.copytree(made, tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    (tmp_path / "set" / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    with pytest.raises(ValueError, match="interrupted"):
        PreparedSource(str(tmp_path / "set"), "train")
    (tmp_path / "set" / "manifest.json").write_text(json.dumps(manifest))
    next(iter((tmp_path / "set" / "data").glob("train-*"))).unlink()
    with pytest.raises(ValueError, match="the shards hold"):
        PreparedSource(str(tmp_path / "set"), "train")


# ---- the artist-made meshes


def survivors(shared, tmp_path, make_config, step):
    """Every step-th mesh through prepare, the set, tokens and back."""
    vo, fo = shared["vertex_offsets"], shared["face_offsets"]
    (tmp_path / "src").mkdir()
    count = 0
    for k in range(0, len(vo) - 1, step):
        mesh = Mesh(shared["vertices"][vo[k] : vo[k + 1]], shared["faces"][fo[k] : fo[k + 1]].astype(np.int32))
        save(tmp_path / "src" / f"{k:04d}.obj", mesh)
        count += 1
    config = make_config(tmp_path / "src", tmp_path / "set", rules=Rules(duplicates="keep"), shard_size=4096)
    prepare(config)
    train, test = (PreparedSource(str(tmp_path / "set"), split) for split in ("train", "test"))
    assert len(train) + len(test) == count
    for prepared in (train, test):
        allowed = prepared.column("num_grid_faces") if len(prepared) else []
        for k in range(len(prepared)):
            number = int(prepared.name(k).split(".")[0])
            assert len(prepared[k].faces) == fo[number + 1] - fo[number]
            snapped = snap(normalize(prepared[k])[0], 512)
            decoded = Mesh(*TOKENIZER.decode(TOKENIZER.encode(*snapped)))
            assert len(decoded.faces) == allowed[k] == len(snapped.faces)
            assert corners(decoded) == corners(snapped)


def corners(mesh: Mesh) -> list:
    cells = np.rint((mesh.vertices[mesh.faces] + 1) * 256 - 0.5).astype(int)
    return sorted(sorted(map(tuple, face)) for face in cells.tolist())


def test_artist_made_meshes_survive(shared_data, tmp_path, make_config):
    survivors(shared_data, tmp_path, make_config, step=40)


@pytest.mark.skipif(not os.environ.get("SLOW"), reason="takes minutes; SLOW=1 runs it")
def test_every_artist_made_mesh_survives(shared_data, tmp_path, make_config):
    survivors(shared_data, tmp_path, make_config, step=1)
