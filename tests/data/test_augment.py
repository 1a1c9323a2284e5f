import numpy as np
import pytest
import trimesh

from core.data.augment import AugmentConfig, augment, damage, decimate, jitter, mirror, rotate
from core.data.mesh import Mesh

PLAIN = {"use_decimate_aug": False, "use_scale_aug": False, "use_rotate_aug": False, "use_jitter_aug": False}


def volume(mesh: Mesh) -> float:
    return trimesh.Trimesh(*mesh, process=False).volume


def many(mesh: Mesh, config: AugmentConfig, count: int = 300, **options) -> list[Mesh]:
    return [augment(mesh, config, np.random.default_rng(k), **options) for k in range(count)]


def test_the_seed_decides(ball):
    config = AugmentConfig(use_mirror_aug=True, use_stretch_aug=True)
    one, same, other = (augment(ball, config, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.vertices, same.vertices)
    np.testing.assert_array_equal(one.faces, same.faces)
    assert one.vertices.shape != other.vertices.shape or not np.allclose(one.vertices, other.vertices)


def test_scale_is_uniform_between_its_bounds(box):
    bounds = [np.abs(m.vertices).max() for m in many(box, AugmentConfig())]
    assert 0.75 <= min(bounds) < 0.77
    assert 0.93 < max(bounds) <= 0.9501
    off = augment(box, AugmentConfig(use_scale_aug=False), np.random.default_rng(0))
    assert np.abs(off.vertices).max() == pytest.approx(0.95)


def test_normalised_after_rotation(box):
    """A box turned by 30 degrees is wider along the axes: it must still fill the cube, and no more."""
    for mesh in many(box, AugmentConfig(use_scale_aug=False), 30):
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert max(high - low) == pytest.approx(1.9, rel=1e-5)
        np.testing.assert_allclose(low + high, 0, atol=1e-6)


def test_rotations_are_multiples_of_the_step_about_y():
    stick = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 0.1, 0]], np.float32), np.array([[0, 1, 2]], np.int32))
    for step, different in ((30, 12), (90, 4)):
        config = AugmentConfig(**{**PLAIN, "use_rotate_aug": True}, rotate_step=step)
        runs = [m.vertices[1] - m.vertices[0] for m in many(stick, config)]
        angles = np.rad2deg([np.arctan2(-run[2], run[0]) for run in runs]).round(3) % 360
        assert sorted(set(angles)) == [step * k for k in range(different)]


def test_a_rotation_is_right_handed(box):
    turned = rotate(Mesh(np.array([[1, 2, 0]], np.float32), np.zeros((0, 3), np.int32)), 90)
    np.testing.assert_allclose(turned.vertices, [[0, 2, -1]], atol=1e-6)
    assert volume(rotate(box, 30)) == pytest.approx(volume(box), rel=1e-5)


def test_mirroring_keeps_faces_outward(box):
    lopsided = Mesh(box.vertices + np.float32([1, 0, 0]), box.faces)
    mirrored = mirror(lopsided)
    assert volume(mirrored) == pytest.approx(volume(box), rel=1e-5)
    assert mirrored.vertices[:, 0].max() < 0


def test_stretching_stays_within_its_limit(box):
    config = AugmentConfig(**PLAIN, use_stretch_aug=True, stretch_limit=1.5)
    for mesh in many(box, config, 50):
        sides = np.ptp(mesh.vertices, axis=0) / [1, 2, 0.5]
        ratio = sides.max() / sides.min()
        assert 1 <= ratio <= 1.5**2 + 1e-4
    assert volume(mesh) > 0


def test_half_of_the_larger_meshes_are_decimated(ball, box):
    counts = np.array([len(m.faces) for m in many(ball, AugmentConfig(), 400)])
    assert 0.42 < (counts < 320).mean() < 0.58
    decimated = counts[counts < 320]
    assert 96 <= decimated.min() < 115  # max(100, 320 / 4), give or take the decimator's last step
    assert decimated.max() > 300
    assert {len(m.faces) for m in many(box, AugmentConfig(), 20)} == {12}
    assert {len(m.faces) for m in many(ball, AugmentConfig(use_decimate_aug=False), 20)} == {320}


def test_decimated_meshes_are_sound(ball):
    mesh = decimate(ball, 120)
    solid = trimesh.Trimesh(*mesh, process=False)
    assert 116 <= len(mesh.faces) <= 120
    assert solid.is_watertight
    assert solid.volume == pytest.approx(volume(ball), rel=0.1)
    assert len(np.unique(mesh.faces)) == len(mesh.vertices)
    assert (mesh.vertices.dtype, mesh.faces.dtype) == (np.float32, np.int32)


def test_dense_meshes_are_always_brought_down(ball):
    counts = [len(m.faces) for m in many(ball, AugmentConfig(use_decimate_aug=False), 50, max_faces=150)]
    assert max(counts) <= 150
    assert min(counts) >= 96
    assert len(set(counts)) > 10


def test_jitter_moves_half_of_the_clouds_by_a_hundredth():
    points = np.zeros((2000, 3), np.float32)
    moved = [jitter(points, np.random.default_rng(k)) for k in range(200)]
    still = [m for m in moved if m is points]
    assert 70 < len(still) < 130
    noise = next(m for m in moved if m is not points)
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    "options", [{"rotate_step": 0}, {"rotate_step": 25}, {"rotate_step": 720}, {"stretch_limit": 0.5}]
)
def test_impossible_options(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"{name} {value}"):
        AugmentConfig(**options)


def test_damage_moves_and_tears_some_vertices_and_says_which(ball):
    """What is not marked as wrong stands where it stood; each torn vertex takes one face's corner from another."""
    shares = []
    for seed in range(200):
        damaged, wrong = damage(ball, np.random.default_rng(seed))
        count = len(ball.vertices)
        assert len(wrong) == len(damaged.vertices) >= count
        right = np.flatnonzero(~wrong)
        assert (right < count).all()
        np.testing.assert_array_equal(damaged.vertices[right], ball.vertices[right])
        changed = damaged.faces != ball.faces
        assert changed.sum() == (wrong[count:] & np.isin(np.arange(count, len(wrong)), damaged.faces)).sum()
        assert (damaged.faces[changed] >= count).all()
        shares.append(wrong.mean())
    assert min(shares) < 0.03
    assert max(shares) > 0.1


def test_damaged_vertices_stay_in_the_cube(box):
    big = Mesh(box.vertices / np.abs(box.vertices).max() * np.float32(0.95), box.faces)
    for seed in range(100):
        assert np.abs(damage(big, np.random.default_rng(seed))[0].vertices).max() <= 0.951
