"""COLLADA (.dae): the scene's geometries, skins in the pose of their joints, turned so that y is up."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np

from core.geometry.files.placing import Budget, about_axis, mirrored, move
from core.geometry.files.polygons import fan, join, strip, triangulate, with_holes
from core.geometry.files.text import numbers
from core.geometry.mesh import Mesh

Element = ElementTree.Element
Part = tuple[np.ndarray, np.ndarray]
TO_Y_UP = {
    "X_UP": np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64),
    "Z_UP": np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64),
}
DEEPEST = 300


def read(data: bytes, path: Path) -> Mesh:
    """The scene of a COLLADA file, in the file's units; all its geometries where it has no scene.

    Raises:
        ValueError: damaged XML, something named that is not there.
    """
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError(f"its XML is damaged: {error}") from error
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rsplit("}", 1)[-1]
    if root.tag != "COLLADA":
        raise ValueError(f"its root is <{root.tag}>, not <COLLADA>")
    return Mesh(*join(list(_Scene(root).parts())))


class _Scene:
    def __init__(self, root: Element):
        self._root = root
        self._by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
        self._budget = Budget()
        self._geometries: dict[str, list[Part]] = {}
        self._worlds: dict[Element, np.ndarray] = {}  # of every node met, where it was met first

    def parts(self) -> Iterator[Part]:
        axis = self._root.findtext("asset/up_axis", "Y_UP").strip().upper()
        top = TO_Y_UP.get(axis, np.eye(4))
        drawn = [self._find(e.get("url")) for e in self._root.iterfind("scene/instance_visual_scene")]
        scenes = drawn or self._root.findall("library_visual_scenes/visual_scene")[:1]
        instances: list[tuple[Element, np.ndarray]] = []
        for scene in scenes:
            for node in scene.iterfind("node"):
                self._node(node, top, instances, DEEPEST)
        if not instances:  # a library of geometries
            for geometry in self._root.iterfind("library_geometries/geometry"):
                yield from self._place(self._geometry(geometry), top)
        # Skins look for joints among all nodes, so that those are placed first.
        for instance, world in instances:
            target = self._find(instance.get("url"))
            if instance.tag == "instance_geometry":
                yield from self._place(self._geometry(target), world)
            else:
                yield from self._controller(target, instance, world)

    def _find(self, url: str | None) -> Element:
        name = unquote(url or "")
        if not name.startswith("#") or name[1:] not in self._by_id:
            raise ValueError(f"it names {url!r}, which is not in the file")
        return self._by_id[name[1:]]

    def _node(self, node: Element, above: np.ndarray, instances: list, depth: int) -> None:
        """Place a node and all below it; what it draws goes to `instances`."""
        if depth == 0:
            raise ValueError(f"node {node.get('id')!r} is below itself, or more than {DEEPEST} deep")
        self._budget.spend(1)
        world = above @ _local(node)
        self._worlds.setdefault(node, world)
        for child in node:
            if child.tag == "node":
                self._node(child, world, instances, depth - 1)
            elif child.tag == "instance_node":
                self._node(self._find(child.get("url")), world, instances, depth - 1)
            elif child.tag in ("instance_geometry", "instance_controller"):
                instances.append((child, world))

    def _place(self, parts: list[Part], world: np.ndarray) -> Iterator[Part]:
        for vertices, faces in parts:
            self._budget.spend(len(vertices) + len(faces))
            yield move(vertices, world), faces[:, ::-1] if mirrored(world) else faces

    # ---- controllers

    def _controller(self, controller: Element, instance: Element, world: np.ndarray) -> Iterator[Part]:
        skin, morph = controller.find("skin"), controller.find("morph")
        body = skin if skin is not None else morph
        if body is None:
            raise ValueError(f"controller {controller.get('id')!r} is neither skin nor morph")
        source = self._find(body.get("source"))
        if source.tag == "controller":
            parts = list(self._controller(source, instance, np.eye(4)))
        else:
            parts = self._geometry(source)
        if skin is None:  # the base of a morph
            yield from self._place(parts, world)
            return
        bind = _matrix(skin.findtext("bind_shape_matrix"))
        matrices = self._joint_matrices(skin, instance)
        for vertices, faces in parts:
            self._budget.spend(len(vertices) + len(faces))
            if matrices is None:
                yield from self._place([(vertices, faces)], world @ bind)
                continue
            moves = self._blend(skin, matrices, len(vertices))
            placed = move(vertices, bind)
            flipped = np.median(np.linalg.det(moves[:, :3, :3])) * np.linalg.det(bind[:3, :3]) < 0
            placed = np.einsum("vij,vj->vi", moves[:, :3, :3], placed) + moves[:, :3, 3]
            yield placed, faces[:, ::-1] if flipped else faces

    def _joint_matrices(self, skin: Element, instance: Element) -> np.ndarray | None:
        """(J, 4, 4) from the bind pose to where each joint is; None where the joints are not in the scene."""
        joints = self._input(skin.find("joints"), "JOINT")
        inverse = self._input(skin.find("joints"), "INV_BIND_MATRIX")
        if joints is None or inverse is None:
            return None
        names = (joints.findtext("Name_array") or joints.findtext("IDREF_array") or "").split()
        roots = [self._find(e.text.strip()) for e in instance.iterfind("skeleton") if e.text]
        nodes = [node for root in roots for node in root.iter("node")] or list(self._worlds)
        known = {key: node for node in reversed(nodes) for key in (node.get("name"), node.get("id"), node.get("sid"))}
        found = [node for node in (known.get(name) for name in names) if node is not None and node in self._worlds]
        if not names or len(found) < len(names):
            return None
        return np.stack([self._worlds[node] for node in found]) @ self._floats(inverse).reshape(-1, 4, 4)[: len(found)]

    def _blend(self, skin: Element, matrices: np.ndarray, count: int) -> np.ndarray:
        """(V, 4, 4) what moves each vertex: its joints' matrices by their weights."""
        entry = skin.find("vertex_weights")
        source = self._input(entry, "WEIGHT")
        if entry is None or source is None:
            return np.broadcast_to(matrices[0], (count, 4, 4))
        inputs = {e.get("semantic"): int(e.get("offset", 0)) for e in entry.iterfind("input")}
        sizes = _whole(entry.findtext("vcount"))
        table = _whole(entry.findtext("v")).reshape(-1, max(inputs.values()) + 1)
        joints, weights = table[:, inputs["JOINT"]], self._floats(source)[table[:, inputs["WEIGHT"]]]
        if len(sizes) != count or sizes.sum() != len(table) or joints.max(initial=0) >= len(matrices):
            raise ValueError(f"a skin has weights for {len(sizes)} of {count} vertices, or names joints it has not")
        weights = np.where(joints < 0, 0, weights)
        owner = np.repeat(np.arange(count), sizes)
        total = np.bincount(owner, weights, count)
        result = np.zeros((count, 4, 4))
        share = weights / np.where(total > 0, total, 1)[owner]
        np.add.at(result, owner, share[:, None, None] * matrices[joints])
        result[total <= 0] = matrices[0]
        return result

    def _input(self, element: Element | None, semantic: str) -> Element | None:
        for entry in element.iterfind("input") if element is not None else ():
            if entry.get("semantic") == semantic:
                return self._find(entry.get("source"))
        return None

    # ---- geometries

    def _geometry(self, geometry: Element) -> list[Part]:
        """The mesh of a geometry, once read kept, as one part; none where it is no mesh."""
        key = geometry.get("id", "")
        if key not in self._geometries:
            mesh = geometry.find("mesh") if geometry.find("mesh") is not None else geometry.find("convex_mesh")
            self._geometries[key] = [] if mesh is None else [self._mesh(mesh)]
        return self._geometries[key]

    def _mesh(self, mesh: Element) -> Part:
        vertices = np.zeros((0, 3))
        faces = [np.zeros((0, 3), np.int64)]
        position = self._input(mesh.find("vertices"), "POSITION")
        if position is not None:
            vertices = self._positions(position)
        for primitive in mesh:
            cut = _CUTTERS.get(primitive.tag)
            if cut is not None:
                faces.append(cut(primitive, vertices))
        return vertices, np.concatenate(faces)

    def _floats(self, source: Element) -> np.ndarray:
        array = source.find("float_array")
        return numbers((array.text or "").encode()) if array is not None else np.zeros(0)

    def _positions(self, source: Element) -> np.ndarray:
        """(V, 3) of a source, as its accessor says."""
        values = self._floats(source)
        accessor = source.find("technique_common/accessor")
        told = {} if accessor is None else accessor.attrib
        stride, offset = int(told.get("stride", 3)), int(told.get("offset", 0))
        count = int(told.get("count", max(len(values) - offset, 0) // max(stride, 1)))
        if stride < 3 or count < 0 or offset < 0 or offset + stride * (count - 1) + 3 > len(values):
            raise ValueError(f"a source declares {count} positions of stride {stride}, holds {len(values)} numbers")
        return values[offset + stride * np.arange(count)[:, None] + np.arange(3)]


def _local(node: Element) -> np.ndarray:
    """(4, 4) from a node's frame to the one above it: its transforms in their order."""
    matrix = np.eye(4)
    for element in node:
        if element.tag not in ("matrix", "translate", "rotate", "scale", "lookat", "skew"):
            continue
        step, values = np.eye(4), numbers((element.text or "").encode())
        if element.tag == "matrix":
            step = values.reshape(4, 4)
        elif element.tag == "translate":
            step[:3, 3] = values
        elif element.tag == "scale":
            step[:3, :3] = np.diag(values)
        elif element.tag == "rotate" and values[:3].any():
            step[:3, :3] = about_axis(values[:3], values[3])
        elif element.tag in ("lookat", "skew"):
            raise ValueError(f"a node is placed by <{element.tag}>, which is not read")
        matrix = matrix @ step
    return matrix


def _matrix(text: str | None) -> np.ndarray:
    return np.eye(4) if text is None else numbers(text.encode()).reshape(4, 4)


def _whole(text: str | None) -> np.ndarray:
    return numbers((text or "").encode()).astype(np.int64)


# ---------------------------------------------------------------------------------------------------------------------
# Primitives: (F, 3) of an element and the vertices (V, 3)


def _indices(primitive: Element, text: str | None) -> np.ndarray:
    """The vertex index of each corner in a `p`."""
    offsets = [(e.get("semantic"), int(e.get("offset", 0))) for e in primitive.iterfind("input")]
    own = next((offset for semantic, offset in offsets if semantic == "VERTEX"), None)
    if own is None:
        raise ValueError(f"its <{primitive.tag}> has no input VERTEX")
    return _whole(text)[own :: max(offset for _, offset in offsets) + 1]


def _triangles(primitive: Element, vertices: np.ndarray) -> np.ndarray:
    found = [_indices(primitive, p.text) for p in primitive.iterfind("p")]
    return np.concatenate([np.zeros(0, np.int64)] + [f[: len(f) // 3 * 3] for f in found]).reshape(-1, 3)


def _polylist(primitive: Element, vertices: np.ndarray) -> np.ndarray:
    corners, sizes = _indices(primitive, primitive.findtext("p")), _whole(primitive.findtext("vcount"))
    if sizes.sum() != len(corners):
        raise ValueError(f"a <polylist> declares {sizes.sum()} corners, holds {len(corners)}")
    return triangulate(vertices, corners, sizes)


def _polygons(primitive: Element, vertices: np.ndarray) -> np.ndarray:
    found = [_indices(primitive, p.text) for p in primitive.iterfind("p")]
    for holed in primitive.iterfind("ph"):
        rings = [_indices(primitive, ring.text) for ring in holed if ring.tag in ("p", "h")]
        found.append(with_holes(vertices, rings))
    sizes = np.array([len(f) for f in found], np.int64)
    return triangulate(vertices, np.concatenate([np.zeros(0, np.int64), *found]), sizes)


def _strips(primitive: Element, vertices: np.ndarray) -> np.ndarray:
    cut = strip if primitive.tag == "tristrips" else fan
    found = [_indices(primitive, p.text) for p in primitive.iterfind("p")]
    return np.concatenate([np.zeros((0, 3), np.int64)] + [f[cut(len(f))] for f in found])


_CUTTERS = {
    **{"triangles": _triangles, "polylist": _polylist, "polygons": _polygons},
    **{"tristrips": _strips, "trifans": _strips},
}
