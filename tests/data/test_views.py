"""Views to train on: a function of (seed, epoch, index), cached or not."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.data.augment import AugmentConfig, rotate
from core.data.camera import View
from core.data.dataset import DataConfig
from core.data.mesh import Mesh
from core.data.render import render
from core.data.sources import JoinedMeshes, PackedMeshes, ShapesSource
from core.data.views import ViewConfig, ViewDataset, collate_views, store_views, stored_view

PLAIN = AugmentConfig(
    use_decimate_aug=False, use_scale_aug=False, use_rotate_aug=False, use_jitter_aug=False
)  # what is left is the view
CONFIG = DataConfig(max_face_length=2000, testset_size=3, augment=PLAIN)
VIEWS = ViewConfig(view_size=32)


@pytest.fixture(scope="module")
def source() -> ShapesSource:
    return ShapesSource(3, 5)


def make(source, views: ViewConfig = VIEWS, train: bool = True, counts=None, seed: int = 0) -> ViewDataset:
    return ViewDataset([source], counts, CONFIG, views, train=train, point_num=40, seed=seed)


def test_samples_follow_from_seed_epoch_and_index(source):
    first, again, other = make(source)[(2, 1)], make(source)[(2, 1)], make(source, seed=1)[(2, 1)]
    assert (first.image == again.image).all()
    assert (first.points == again.points).all()
    assert (first.points != other.points).any()
    assert (first.image != make(source)[(3, 1)].image).any()
    assert first.image.shape == (32, 32, 3)
    assert first.points.shape == (40, 3)


def test_the_object_fills_four_fifths_on_white(source):
    dataset = make(source, ViewConfig(view_size=100))
    for k in range(len(dataset)):
        seen = (dataset[(0, k)].image < 250).any(2)
        rows, columns = np.nonzero(seen.any(1))[0], np.nonzero(seen.any(0))[0]
        assert max(np.ptp(rows), np.ptp(columns)) == pytest.approx(80, abs=3)


def test_the_mesh_lies_as_it_is_seen():
    """A box at +x shows on the right in every view, and its points are at +x."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = np.array([t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])], np.int32)
    post = Mesh(corners * [0.3, 3, 0.3], faces)
    arm = Mesh(corners * [3, 0.3, 0.3] + np.float32([0.3, 1.4, 0]), faces + 8)
    mesh = Mesh(
        np.concatenate([post.vertices, arm.vertices]).astype(np.float32), np.concatenate([post.faces, arm.faces])
    )
    dataset = make(PackedMeshes([mesh], ["sign"]), replace(VIEWS, view_azimuth=(-60, 60)))
    for epoch in range(10):
        sample = dataset[(epoch, 0)]
        dark = (sample.image < 250).any(2)
        assert dark[:, 16:].sum() > 0
        assert sample.points[:, 0].max() > 0.7
        columns = np.nonzero(dark.sum(0) > 10)[0]  # the post
        assert columns.mean() < np.nonzero(dark)[1].max() - 5


def test_test_views_are_always_the_same_and_at_most_testset_size(source):
    dataset = make(source, train=False)
    assert len(dataset) == 3
    assert (dataset[(0, 1)].image == dataset[(7, 1)].image).all()


def test_large_pools_are_used_up_over_epochs(source):
    dataset = make(source, counts=[2])
    assert len(dataset) == 2
    names = {dataset.name(epoch, index) for epoch in range(3) for index in range(2)}
    assert names == {source.name(k) for k in range(5)}


def test_stored_views_are_the_views(source, tmp_path):
    views = replace(VIEWS, cache_latents=2)
    plain, stored = make(source, views), make(source, views)
    stored.stored = store_views(stored, tmp_path)
    for key in [(0, 0), (1, 4), (2, 0), (5, 4)]:  # epochs 2 and 5 are 0 and 1 again
        assert (plain[key].image == stored[key].image).all()
        assert np.abs(plain[key].points - stored[key].points).max() < 1e-3
    (folder,) = tmp_path.iterdir()
    before = (folder / "images.npy").stat().st_mtime_ns
    store_views(make(source, views), tmp_path)
    assert (folder / "images.npy").stat().st_mtime_ns == before
    store_views(make(source, views, seed=1), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


class Pictured(PackedMeshes):
    """A source with four pictures of each mesh, as prepare.py stores them."""

    def views(self, index: int) -> list[Image.Image]:
        rounds = [View(35 + 90 * k, 20, margin=0.1) for k in range(4)]
        return [Image.fromarray(render(self[index], 64, view, edges=False, transparent=True)) for view in rounds]


def test_stored_pictures_are_of_the_mesh_as_it_is_turned(source):
    pictured = Pictured([source[k] for k in range(3)], ["a", "b", "c"])
    dataset = make(JoinedMeshes([source, pictured]))
    turns = set()
    for epoch in range(12):
        sample = dataset[(epoch, 5 + epoch % 3)]
        image, turn = stored_view(pictured, epoch % 3, VIEWS, dataset.generator(epoch, 5 + epoch % 3))
        turns.add(turn)
        assert (sample.image == image).all()
        mesh = rotate(source[epoch % 3], turn)
        again = render(mesh, 64, View(35, 20, margin=0.1), edges=False)
        difference = np.abs(np.asarray(Image.fromarray(again).resize((32, 32), 2)).astype(int) - image)
        assert difference.mean() < 3
    assert turns == {0, -90, -180, -270}


def test_batches(source):
    dataset = make(source)
    batch = collate_views([dataset[(0, 0)], dataset[(0, 1)]])
    assert batch.images.shape == (2, 3, 32, 32)
    assert batch.points.shape == (2, 40, 3)
    assert batch.latents is None
    assert len(batch) == 2


def test_too_large_meshes_are_left_out_and_none_is_refused(source):
    with pytest.raises(ValueError, match="max_face_length"):
        ViewDataset([source], None, replace(CONFIG, max_face_length=1), VIEWS, train=True, point_num=4)


@pytest.mark.parametrize("options", [{"view_size": 4}, {"view_azimuth": (50, 10)}, {"view_elevation": (0, 91)}])
def test_wrong_options_are_named(options):
    with pytest.raises(ValueError, match=f"--{next(iter(options))}"):
        ViewConfig(**options)
