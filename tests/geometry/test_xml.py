"""COLLADA and 3MF: scenes in XML."""

import zipfile

import numpy as np
import pytest

from core.data.mesh import load
from tests.geometry.known import facts
from tests.geometry.written import CORNERS, FACES


def collada(
    asset: str = "", scene: str = '<node><instance_geometry url="#g"/></node>', primitive: str = "", more: str = ""
) -> str:
    primitive = (
        primitive
        or '<triangles count="4"><input semantic="VERTEX" source="#v" offset="0"/>'
        "<p>0 2 1 0 1 3 0 3 2 1 2 3</p></triangles>"
    )
    return f"""<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2008/03/COLLADASchema" version="1.5.0">
    <asset>{asset}</asset><library_geometries><geometry id="g"><mesh><source id="p"><float_array id="a" count="16">
    0 0 0 9 1 0 0 9 0 2 0 9 0 0 3 9</float_array><technique_common><accessor source="#a" count="4" stride="4"/>
    </technique_common></source><vertices id="v"><input semantic="POSITION" source="#p"/></vertices>{primitive}</mesh>
    </geometry></library_geometries>{more}<library_visual_scenes><visual_scene id="s">{scene}</visual_scene>
    </library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>"""


def skin(joint: str) -> str:
    return f"""<library_controllers><controller id="c"><skin source="#g">
    <bind_shape_matrix>2 0 0 0 0 2 0 0 0 0 2 0 0 0 0 1
    </bind_shape_matrix><source id="j"><Name_array id="ja" count="1">{joint}</Name_array></source><source id="b">
    <float_array id="ba" count="16">1 0 0 -5 0 1 0 0 0 0 1 0 0 0 0 1</float_array></source><source id="w">
    <float_array id="wa" count="1">1</float_array></source><joints><input semantic="JOINT" source="#j"/>
    <input semantic="INV_BIND_MATRIX" source="#b"/></joints><vertex_weights count="4">
    <input semantic="JOINT" source="#j" offset="0"/><input semantic="WEIGHT" source="#w" offset="1"/>
    <vcount>1 1 1 1</vcount><v>0 0 0 0 0 0 0 0</v></vertex_weights></skin></controller></library_controllers>"""


SKELETON = (
    '<node sid="J" id="r" type="JOINT"><translate>5 0 10</translate></node><node><translate>99 0 0</translate>'
    '<instance_controller url="#c"><skeleton>#r</skeleton></instance_controller></node>'
)
HOLED = (
    '<polygons count="1"><input semantic="VERTEX" source="#v" offset="0"/>'
    '<input semantic="NORMAL" source="#p" offset="1"/>'
    "<ph><p>0 0 1 0 2 0</p><h>3 0 3 0 3 0</h></ph><p>0 1 2 1 3 1</p></polygons>"
)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (collada(), [0, 0, 0], [1, 2, 3]),
        (collada("<up_axis>Z_UP</up_axis>"), [0, 0, -2], [1, 3, 0]),
        (collada("<up_axis>X_UP</up_axis>"), [-2, 0, 0], [0, 1, 3]),
        (collada('<unit meter="0.01"/><up_axis>Y_UP</up_axis>'), [0, 0, 0], [1, 2, 3]),
        (
            collada(
                scene='<node><scale>2 2 2</scale><node><rotate>0 0 1 90</rotate><instance_node url="#k"/></node>'
                "</node>",
                more='<library_nodes><node id="k"><translate>1 0 0</translate><instance_geometry url="#g"/></node>'
                "</library_nodes>",
            ),
            [-4, 2, 0],
            [0, 4, 6],
        ),
        (collada(scene=SKELETON, more=skin("J")), [0, 0, 10], [2, 4, 16]),
        (collada(scene=SKELETON, more=skin("nobody")), [99, 0, 0], [101, 4, 6]),
    ],
)
def test_collada_scenes(tmp_path, text, low, high):
    (tmp_path / "a.dae").write_text("\ufeff" + text)
    vertices, faces = load(tmp_path / "a.dae")
    assert len(faces) == 4
    np.testing.assert_allclose([vertices.min(axis=0), vertices.max(axis=0)], [low, high], atol=1e-9)
    moved = vertices - vertices.mean(axis=0)
    assert facts(moved, faces)["volume"] > 0


def test_what_collada_names_must_be_there(tmp_path):
    (tmp_path / "a.dae").write_text(collada(scene='<node><instance_geometry url="other.dae#g"/></node>'))
    with pytest.raises(ValueError, match="a.dae: .*other.dae#g"):
        load(tmp_path / "a.dae")
    (tmp_path / "b.dae").write_text(collada(scene='<node id="n"><instance_node url="#n"/></node>'))
    with pytest.raises(ValueError, match="b.dae: .*below itself"):
        load(tmp_path / "b.dae")
    (tmp_path / "c.dae").write_text(collada(primitive=HOLED))
    assert len(load(tmp_path / "c.dae").faces) >= 2


def package(path, root: str, **parts: str):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        relation = 'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel" Target="3D/Root%20x.model"'
        archive.writestr("_rels/.rels", f"<Relationships><Relationship Id='a' {relation}/></Relationships>")
        archive.writestr("3D/Root x.model", root)
        for name, text in parts.items():
            archive.writestr(f"3D/{name}.model", text)
    return path


def model(
    resources: str, build: str, head: str = 'xmlns:q="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'
) -> str:
    return f'<model xmlns="c" {head}><resources>{resources}</resources><build>{build}</build></model>'


MESH = (
    "<mesh><vertices>"
    + "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in CORNERS)
    + "</vertices><triangles>"
    + "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in FACES)
    + "</triangles></mesh>"
)


def test_3mf_items_and_components_in_other_files(tmp_path):
    part = model(f'<object id="1">{MESH}</object>', "")
    twice = (
        '<object id="1"><components>'
        '<component objectid="1" q:path="/3D/part.model" transform="-1 0 0 0 1 0 0 0 1 0 0 0"/>'
        '<component objectid="1" q:path="3d/PART.model" transform="1 0 0 0 1 0 0 0 1 7 0 0"/></components></object>'
    )
    path = package(
        tmp_path / "a.3mf", model(twice, '<item objectid="1"/><item objectid="1" q:path="/3D/part.model"/>'), part=part
    )
    found = facts(*load(path))
    assert found["faces"] == 12
    assert found["volume"] == pytest.approx(3)  # the mirrored one is turned outside out
    np.testing.assert_allclose(found["extent"], [9, 2, 3])
    beams = 'requiredextensions="b" xmlns:b="http://schemas.microsoft.com/3dmanufacturing/beamlattice/2017/02"'
    for name, text, words in (
        ("b", model(twice, '<item objectid="1"/>', beams), "beamlattice"),
        (
            "c",
            model('<object id="2"><components><component objectid="2"/></components></object>', '<item objectid="2"/>'),
            "itself",
        ),
        ("d", model(twice, '<item objectid="4"/>'), "no object 4"),
        ("e", model(f'<object id="1">{MESH.replace("v2=", "w=", 1)}</object>', '<item objectid="1"/>'), "v2"),
    ):
        with pytest.raises(ValueError, match=f"{name}.3mf: .*{words}"):
            load(package(tmp_path / f"{name}.3mf", text, part=part))


def test_3mf_bombs_are_not_unpacked(tmp_path):
    path = package(tmp_path / "a.3mf", "<model>" + " " * 50_000_000 + "</model>")
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="more than 200 times"):
        load(path)
