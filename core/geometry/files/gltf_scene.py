"""What a glTF file draws: nodes with their transforms, instances and skins, and the primitives of their meshes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.geometry.files.gltf import DRACO, INSTANCING, Document, open_document
from core.geometry.files.placing import Budget, mirrored, move, rotation
from core.geometry.files.polygons import fan, join, strip
from core.geometry.mesh import Mesh

POINTS, TRIANGLES, STRIP, FAN = 0, 4, 5, 6
Part = tuple[np.ndarray, np.ndarray]  # vertices (V, 3) and faces (F, 3)


def read(data: bytes, path: Path) -> Mesh:
    """The default scene of a glTF file: all root nodes where it has none.

    Raises:
        ValueError: another version, a required extension that is not known here or whose decoder is not installed, and
            buffers that are missing or too short.
    """
    return Scene(open_document(data, path)).mesh()


class Scene:
    """The default scene of a document: its first where none is named, all root nodes where it has no scene at all."""

    def __init__(self, document: Document):
        self._document = document
        self._budget = Budget()
        self._without_position = 0

    def mesh(self) -> Mesh:
        """All that is drawn, in the scene's frame: skins in the pose that their joints stand in, morphs as weighted.

        Raises:
            ValueError: for what the file says and does not hold.
        """
        self._worlds = self._place_nodes()
        parts: list[Part] = []
        for index, world in self._worlds.items():
            parts += self._node(self._document.entry("nodes", index), world)
        if not self._document.content.get("nodes"):  # a library of meshes
            for index in range(len(self._document.content.get("meshes", []))):
                parts += self._primitives(index, {}, np.eye(4))
        if not parts and self._without_position:
            raise ValueError(f"none of its {self._without_position} primitives has a POSITION")
        return Mesh(*join(parts))

    # ---- nodes

    def _place_nodes(self) -> dict[int, np.ndarray]:
        """The matrix (4, 4) from each drawn node's frame to the scene's."""
        nodes = self._document.content.get("nodes", [])
        waiting = [(root, np.eye(4)) for root in self._roots(nodes)]
        worlds: dict[int, np.ndarray] = {}
        while waiting:
            index, above = waiting.pop()
            node = self._document.entry("nodes", index)
            if index in worlds:
                raise ValueError(f"node {index} of the scene is below itself, or below two nodes")
            worlds[index] = above @ _local(node)
            waiting += [(child, worlds[index]) for child in reversed(node.get("children", []))]
        return worlds

    def _roots(self, nodes: list[dict[str, Any]]) -> list[int]:
        content = self._document.content
        if content.get("scenes"):
            return list(reversed(self._document.entry("scenes", content.get("scene", 0)).get("nodes", [])))
        below = {child for node in nodes for child in node.get("children", [])}
        return [index for index in reversed(range(len(nodes))) if index not in below]

    def _node(self, node: dict[str, Any], world: np.ndarray) -> Iterator[Part]:
        if "mesh" not in node:
            return
        instancing = node.get("extensions", {}).get(INSTANCING)
        worlds = [world] if instancing is None else [world @ m for m in self._instances(instancing)]
        for place in worlds:
            yield from self._primitives(node["mesh"], node, place)

    def _instances(self, extension: dict[str, Any]) -> np.ndarray:
        """(N, 4, 4) of EXT_mesh_gpu_instancing."""
        given = {name: self._document.accessor(index) for name, index in extension.get("attributes", {}).items()}
        count = max((len(values) for values in given.values()), default=0)
        matrices = np.tile(np.eye(4), (count, 1, 1))
        if "ROTATION" in given:
            matrices[:, :3, :3] = rotation(given["ROTATION"])
        if "SCALE" in given:
            matrices[:, :3, :3] *= given["SCALE"][:, None, :]
        if "TRANSLATION" in given:
            matrices[:, :3, 3] = given["TRANSLATION"]
        return matrices

    # ---- meshes

    def _primitives(self, mesh: Any, node: dict[str, Any], world: np.ndarray) -> Iterator[Part]:
        entry = self._document.entry("meshes", mesh)
        weights = node.get("weights", entry.get("weights", []))
        for primitive in entry.get("primitives", []):
            attributes = primitive.get("attributes", {})
            if "POSITION" not in attributes:
                self._without_position += 1
                continue
            mode = primitive.get("mode", TRIANGLES)
            if mode not in (POINTS, TRIANGLES, STRIP, FAN):
                continue  # lines
            vertices, faces, read = self._geometry(primitive, attributes, mode)
            for target, weight in zip(primitive.get("targets", []), weights, strict=False):
                if weight and "POSITION" in target:
                    vertices = vertices + weight * self._document.accessor(target["POSITION"])
            self._budget.spend(len(vertices) + len(faces))
            if "skin" in node:
                matrices = self._skin(self._document.entry("skins", node["skin"]), attributes, read)
                flipped = bool(np.median(np.linalg.det(matrices[:, :3, :3])) < 0) if len(matrices) else False
                vertices = np.einsum("vij,vj->vi", matrices[:, :3, :3], vertices) + matrices[:, :3, 3]
            else:
                vertices, flipped = move(vertices, world), mirrored(world)
            yield vertices, faces[:, ::-1] if flipped else faces

    def _geometry(self, primitive: dict[str, Any], attributes: dict[str, int], mode: int) -> tuple[Any, Any, Any]:
        """Vertices (V, 3), faces (F, 3), and what reads an attribute by its name."""
        extensions = primitive.get("extensions", {})
        # Where the extension is not required, plain data may stand beside the compressed.
        if DRACO in extensions and (draco := _unpack_draco(self._document, extensions[DRACO])) is not None:
            return draco
        vertices = self._document.accessor(attributes["POSITION"])
        if vertices.shape[1] != 3:
            raise ValueError(f"a POSITION has {vertices.shape[1]} coordinates")
        order = np.arange(len(vertices))
        if "indices" in primitive:
            order = self._document.accessor(primitive["indices"])[:, 0].astype(np.int64)
        if mode == POINTS:
            faces = np.zeros((0, 3), np.int64)
        elif mode == TRIANGLES:
            faces = order[: len(order) // 3 * 3].reshape(-1, 3)
        else:
            faces = order[strip(len(order)) if mode == STRIP else fan(len(order))]
        if len(faces) and faces.max() >= len(vertices):
            raise ValueError(f"a face has index {faces.max()}, there are {len(vertices)} vertices")
        return vertices.astype(np.float64), faces, lambda name: self._document.accessor(attributes[name])

    def _skin(self, skin: dict[str, Any], attributes: dict[str, int], read: Any) -> np.ndarray:
        """(V, 4, 4) what moves each vertex to where its joints are."""
        joints = [self._joint_world(joint) for joint in skin.get("joints", [])]
        matrices = np.stack(joints)
        if "inverseBindMatrices" in skin:
            inverse = self._document.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            matrices = matrices @ inverse[: len(matrices)]
        names = [name for name in ("0", "1", "2", "3") if f"JOINTS_{name}" in attributes]
        indices = np.concatenate([read(f"JOINTS_{name}").astype(np.int64) for name in names], axis=1)
        weights = np.concatenate([np.asarray(read(f"WEIGHTS_{name}"), np.float64) for name in names], axis=1)
        total = weights.sum(axis=1, keepdims=True)
        weights = np.where(total > 0, weights / np.where(total > 0, total, 1), np.eye(weights.shape[1])[0])
        if indices.max(initial=0) >= len(matrices):
            raise ValueError(f"a vertex has joint {indices.max()} of {len(matrices)}")
        return sum(weights[:, k, None, None] * matrices[indices[:, k]] for k in range(indices.shape[1]))

    def _joint_world(self, joint: int) -> np.ndarray:
        """A joint's frame to the scene's, though the scene may not hold the joint itself."""
        if joint in self._worlds:
            return self._worlds[joint]
        nodes = self._document.content.get("nodes", [])
        above = {child: index for index, node in enumerate(nodes) for child in node.get("children", [])}
        matrix, seen = np.eye(4), set[int]()
        at: int | None = joint
        while at is not None and at not in seen:
            seen.add(at)
            matrix = _local(self._document.entry("nodes", at)) @ matrix
            at = above.get(at)
        return matrix


def _local(node: dict[str, Any]) -> np.ndarray:
    """(4, 4) from a node's frame to the one above it."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    if "rotation" in node:
        matrix[:3, :3] = rotation(np.array([node["rotation"]], np.float64))[0]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _unpack_draco(document: Document, extension: dict[str, Any]) -> tuple[Any, Any, Any] | None:
    """As `Scene._geometry`; None where there is no decoder and the file can do without."""
    try:
        import DracoPy
    except ImportError:
        if DRACO in document.content.get("extensionsRequired", []):
            raise ValueError(f"it is compressed by {DRACO}: `pip install DracoPy` reads that") from None
        return None
    data, _ = document.view(extension.get("bufferView"))
    try:
        decoded = DracoPy.decode(data)
        numbers = extension["attributes"]
        wanted = {
            name: number for name, number in numbers.items() if name.startswith(("POSITION", "JOINTS", "WEIGHTS"))
        }
        read = {name: decoded.get_attribute_by_unique_id(number)["data"] for name, number in wanted.items()}
        faces = np.asarray(getattr(decoded, "faces", ()), np.int64).reshape(-1, 3)
    except Exception as error:  # the binding raises nearly anything
        raise ValueError(f"its data of {DRACO} are damaged: {error}") from error
    return np.asarray(read["POSITION"], np.float64), faces, read.__getitem__
