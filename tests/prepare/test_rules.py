"""Rules, colours and signatures."""

import numpy as np
import pytest
import trimesh

from core.data.augment import mirror, rotate
from core.data.finish import merge_vertices
from core.data.mesh import Mesh, normalize
from core.data.prepare.options import Content, Rules
from core.data.prepare.pictures import AZIMUTH, AZIMUTH_SPREAD, ELEVATIONS, FIELDS_OF_VIEW, MARGIN, draw_views
from core.data.prepare.reading import Colored, read
from core.data.prepare.rules import Rejected, judge, pieces
from core.data.prepare.signature import TOLERANCE, Seen, signature
from core.data.prepare.worker import procedural
from core.data.shapes import make_shape
from core.tokens import Tokenizer, TokenizerConfig

TOKENIZER = Tokenizer(TokenizerConfig(discrete_bins=512))


def shape(index: int) -> Mesh:
    return normalize(make_shape(5, index)[0])[0]


def boxes(*places: float) -> Mesh:
    box = trimesh.creation.box((1, 2, 0.5))
    vertices = np.concatenate([box.vertices + (x, 0, 0) for x in places])
    faces = np.concatenate([box.faces + 8 * k for k in range(len(places))])
    return normalize(Mesh(vertices.astype(np.float32), faces.astype(np.int32)))[0]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (Rules(min_faces=25), "few faces"),
        (Rules(max_faces=23), "many faces"),
        (Rules(max_components=1), "components"),
        (Rules(min_thickness=0.2), "flat"),
        (Rules(max_tokens=50), "tokens"),
        (Rules(discrete_bins=2, max_lost_faces=0.1), "lost faces"),
    ],
)
def test_each_rule_rejects(rules, reason):
    mesh = boxes(0, 3)  # 24 faces, 4 x 2 x 0.5
    judge(mesh, Rules(), TOKENIZER)
    with pytest.raises(Rejected) as caught:
        judge(mesh, rules, TOKENIZER)
    assert caught.value.reason == reason


def test_measures():
    measures = judge(boxes(0, 3, 6), Rules(), TOKENIZER)
    assert (measures.components, measures.grid_faces) == (3, 36)
    # 10 tokens start each of three boxes, 4 write each further face.
    assert measures.tokens == 3 * (10 + 4 * 11)


def test_splitting_into_components():
    colors = np.repeat(np.array([[255, 0, 0], [0, 255, 0]], np.uint8), 12, axis=0)
    parts = pieces(Colored(boxes(0, 3), colors), Rules(on_excess="split", max_faces=20))
    assert [len(part.mesh.faces) for part in parts] == [12, 12]
    assert [part.colors[0].tolist() for part in parts] == [[255, 0, 0], [0, 255, 0]]
    assert all(np.abs(part.mesh.vertices).max() == pytest.approx(0.95) for part in parts)
    assert len(pieces(Colored(boxes(0, 3), None), Rules(on_excess="split"))) == 1
    assert len(pieces(Colored(boxes(0, 3), None), Rules(max_faces=20))) == 1


# ---- colours


def test_vertex_colors_materials_and_their_places(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n")
    quads = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 0 1 1\n"
    (tmp_path / "a.obj").write_text(
        f"mtllib a.mtl\n{quads}usemtl red\nf 1 2 3\nf 1 3 3\nusemtl blue\nf 5 6 7\nf 5 7 8\n"
    )
    mesh, colors = read(tmp_path / "a.obj", colors=True)
    height = mesh.vertices[mesh.faces].mean(axis=1)[:, 2]
    assert len(colors) == len(mesh.faces) == 3  # one was degenerate
    assert colors[height < 0].tolist() == [[255, 0, 0]]
    assert colors[height > 0].tolist() == [[0, 0, 255]] * 2
    assert read(tmp_path / "a.obj", colors=False).colors is None

    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile([10, 200, 30, 255], (8, 1))
    box.export(tmp_path / "b.ply")
    assert (read(tmp_path / "b.ply", colors=True).colors == [10, 200, 30]).all()
    trimesh.creation.box().export(tmp_path / "c.ply")
    assert read(tmp_path / "c.ply", colors=True).colors is None


def test_a_texture_gives_each_face_its_pixels(tmp_path):
    from PIL import Image

    image = Image.fromarray(np.array([[[250, 0, 0], [0, 0, 250]]], np.uint8))  # left red, right blue
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [3, 0, 0], [4, 0, 1], [3, 1, 0]], float)
    uv = np.array([[0.1, 0.5]] * 3 + [[0.9, 0.5]] * 3)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, baseColorFactor=[255, 255, 255, 255])
    visual = trimesh.visual.TextureVisuals(uv, material=material)
    trimesh.Trimesh(vertices, [[0, 1, 2], [3, 4, 5]], visual=visual, process=False).export(tmp_path / "a.glb")
    mesh, colors = read(tmp_path / "a.glb", colors=True)
    left = mesh.vertices[mesh.faces].mean(axis=1)[:, 0] < 0
    assert colors[left].tolist() == [[250, 0, 0]]
    assert colors[~left].tolist() == [[0, 0, 250]]


def test_procedural_shapes_have_a_color_a_part():
    family, one = procedural(3, 0, colors=True)
    assert len(one.colors) == len(one.mesh.faces)
    assert procedural(3, 0, colors=True)[1].colors.tobytes() == one.colors.tobytes()
    assert max(len(np.unique(procedural(k, 0, True)[1].colors, axis=0)) for k in range(8)) > 2
    assert family


# ---- near-duplicates


def same(a: Mesh, b: Mesh) -> bool:
    seen = Seen()
    seen.add((len(a.vertices), len(a.faces)), signature(a), "a")
    return seen.find((len(b.vertices), len(b.faces)), signature(b)) == "a"


@pytest.mark.parametrize("index", range(12))
def test_what_is_the_same_object(index):
    rng = np.random.default_rng(index)
    mesh = merge_vertices(shape(index))
    order = rng.permutation(len(mesh.vertices))
    renumbered = Mesh(mesh.vertices[order], np.argsort(order)[mesh.faces][rng.permutation(len(mesh.faces))])
    moved = Mesh(mesh.vertices * 7 + (1, -2, 3), mesh.faces)
    rounded = Mesh(np.round(mesh.vertices, 4), mesh.faces)
    for variant in (renumbered, moved, rounded, mirror(mesh), rotate(mesh, 90), rotate(mirror(mesh), 37)):
        assert same(mesh, variant)


def test_what_is_not():
    meshes = [merge_vertices(shape(k)) for k in range(150)]
    signatures = np.stack([signature(mesh) for mesh in meshes])
    apart = np.abs(signatures[:, None] - signatures).max(axis=2)
    close = np.argwhere((apart <= TOLERANCE) & ~np.eye(len(meshes), dtype=bool))
    sizes = [(len(mesh.vertices), len(mesh.faces)) for mesh in meshes]
    assert not [(a, b) for a, b in close if sizes[a] == sizes[b]]
    mesh = meshes[0]
    stretched = Mesh(mesh.vertices * np.array([1, 1.1, 1], np.float32), mesh.faces)
    assert not same(mesh, stretched)
    assert not same(mesh, rotate(Mesh(mesh.vertices[:, [1, 0, 2]], mesh.faces), 0))  # lying on its side


# ---- views


def test_views_are_as_the_image_model_takes_them():
    pytest.importorskip("core.data.views")
    from core.data.views import FIELDS_OF_VIEW as FIELDS
    from core.data.views import VIEW_MARGIN, ViewConfig

    assert ViewConfig().view_azimuth == (AZIMUTH - AZIMUTH_SPREAD, AZIMUTH + AZIMUTH_SPREAD)
    assert (ViewConfig().view_elevation, FIELDS, VIEW_MARGIN) == (ELEVATIONS, FIELDS_OF_VIEW, MARGIN)


def test_views_have_alpha_and_the_mesh_in_its_colors():
    import io

    from PIL import Image

    mesh = boxes(0)
    red = Colored(mesh, np.tile(np.array([255, 0, 0], np.uint8), (12, 1)))
    drawn = draw_views(red, "ab" * 16, Content(views=3, view_size=96))
    assert drawn == draw_views(red, "ab" * 16, Content(views=3, view_size=96))
    assert len({angles for _, angles in drawn}) == 3
    for data, (azimuth, elevation) in drawn:
        picture = np.asarray(Image.open(io.BytesIO(data)))
        assert picture.shape == (96, 96, 4)
        assert (picture[[0, -1], :, 3] == 0).all()
        solid = picture[picture[..., 3] == 255]
        assert len(solid) > 96 * 96 / 8
        assert (solid[:, 0] > 90).all()
        assert (solid[:, 1:3] == 0).all()
        assert 0 <= azimuth < 360
        assert 5 <= elevation <= 40
