"""3MF: what the build plate holds, over all part files of the package."""

import io
import posixpath
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

import numpy as np

from core.geometry.files.placing import Budget, mirrored, move
from core.geometry.files.polygons import join
from core.geometry.mesh import Mesh

MODEL_RELATION = "/3dmodel"  # how the type of the relation ends that leads to the root model
NOT_PRINTED = ("support", "solidsupport", "other")
# Extensions that may be required: of all else the plain part alone would be another thing.
_KNOWN = ("production", "material", "slice", "trianglesets")
MOST_UNPACKED = 200  # times the size of the file
DEEPEST = 100  # components within components


@dataclass
class Object:
    """An object of a part file: a mesh, or components (path, id, matrix)."""

    kind: str
    vertices: list[tuple[str, str, str]] = field(default_factory=list)
    triangles: list[tuple[str, str, str]] = field(default_factory=list)
    components: list[tuple[str, str, np.ndarray]] = field(default_factory=list)


@dataclass
class Part:
    """A part file: its objects by ids that count within it alone, and the items (path, id, matrix) it builds."""

    objects: dict[str, Object] = field(default_factory=dict)
    items: list[tuple[str, str, np.ndarray]] = field(default_factory=list)


def read(data: bytes, path: Path) -> Mesh:
    """All that the package's root model builds, in its frame; support structures are left out.

    Raises:
        ValueError: no package, nothing to build, an extension that is required and not known here, objects that are
            not there.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is no zip archive, as a 3MF file is ({error})") from error
    package = _Package(archive, MOST_UNPACKED * len(data))
    root = package.root()
    items = package.part(root).items
    if not items:
        raise ValueError("its build holds no item: there is nothing to read")
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for place, number, matrix in items:
        parts += package.build(place or root, number, matrix, DEEPEST)
    return Mesh(*join(parts))


class _Package:
    """The files of a package, each read once."""

    def __init__(self, archive: zipfile.ZipFile, most: int):
        self._archive, self._left = archive, most
        self._names = {_place(name): name for name in archive.namelist()}
        self._parts: dict[str, Part] = {}
        self._meshes: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self._budget = Budget()

    def root(self) -> str:
        """The path of the root model: by the package's relations, else its only or usual place."""
        found: list[str] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            if _local(name) == "Relationship" and attributes.get("Type", "").lower().endswith(MODEL_RELATION):
                found.append(attributes.get("Target", ""))

        if "/_rels/.rels" in self._names:
            _parse(self._read("/_rels/.rels"), start)
        models = [place for place in self._names if place.endswith(".model")]
        for candidate in [*map(_place, found), "/3d/3dmodel.model", *sorted(models)]:
            if candidate in self._names:
                return candidate
        raise ValueError("it holds no model")

    def part(self, place: str) -> Part:
        place = _place(place)
        if place not in self._parts:
            if place not in self._names:
                raise ValueError(f"{place} is not in the package")
            self._parts[place] = _read_part(self._read(place))
        return self._parts[place]

    def build(self, place: str, number: str, matrix: np.ndarray, depth: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The meshes of an object, moved by (4, 4) matrix."""
        thing = self.part(place).objects.get(number)
        if thing is None:
            raise ValueError(f"{_place(place)} has no object {number}")
        if depth == 0:
            raise ValueError(f"object {number} is made of itself, or of components more than {DEEPEST} deep")
        if thing.kind in NOT_PRINTED:
            return []
        parts = []
        if thing.vertices:
            vertices, faces = self._mesh(_place(place), number, thing)
            self._budget.spend(len(vertices) + len(faces))
            parts.append((move(vertices, matrix), faces[:, ::-1] if mirrored(matrix) else faces))
        for other, inner, inner_matrix in thing.components:
            self._budget.spend(1)
            parts += self.build(other or place, inner, matrix @ inner_matrix, depth - 1)
        return parts

    def _mesh(self, place: str, number: str, thing: Object) -> tuple[np.ndarray, np.ndarray]:
        if (place, number) not in self._meshes:
            vertices = np.array(thing.vertices, np.float64)
            faces = np.array(thing.triangles, np.int64).reshape(-1, 3)
            if faces.size and not (faces.min() >= 0 and faces.max() < len(vertices)):
                raise ValueError(f"a triangle of object {number} has index {faces.max()} of {len(vertices)} vertices")
            self._meshes[place, number] = vertices, faces
        return self._meshes[place, number]

    def _read(self, place: str) -> bytes:
        info = self._archive.getinfo(self._names[place])
        self._left -= info.file_size
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED} times its size")
        try:
            with self._archive.open(info) as file:
                return file.read(info.file_size + 1)
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{place} cannot be unpacked: {error}") from error


def _place(name: str) -> str:
    """A part's path as it is compared: absolute, decoded, in lower case."""
    return posixpath.normpath("/" + unquote(name).replace("\\", "/").lstrip("/")).lower()


def _read_part(data: bytes) -> Part:
    part = Part()
    current = Object("model")

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal current
        match _local(name):
            case "vertex":
                current.vertices.append((given["x"], given["y"], given["z"]))
            case "triangle":
                current.triangles.append((given["v1"], given["v2"], given["v3"]))
            case "object":
                current = part.objects[given["id"]] = Object(given.get("type", "model"))
            case "component":
                current.components.append((_path(given), given["objectid"], _matrix(given.get("transform"))))
            case "item":
                part.items.append((_path(given), given["objectid"], _matrix(given.get("transform"))))
            case "model":
                _check_extensions(given)

    _parse(data, start)
    return part


def _parse(data: bytes, start: Any) -> None:
    """Run an XML file through `start(name, attributes)`: names with their prefixes, declared or not."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"its XML is damaged: {error}") from error


def _check_extensions(given: dict[str, str]) -> None:
    for prefix in given.get("requiredextensions", "").split():
        space = given.get(f"xmlns:{prefix}", prefix)
        if not any(f"/{known}/" in f"{space}/" for known in _KNOWN):
            raise ValueError(f"it requires the extension {space}, which is not known here")


def _local(name: str) -> str:
    return name.rsplit(":", 1)[-1]


def _path(given: dict[str, str]) -> str:
    """The part file that an object lies in (production extension); empty: the same."""
    return next((value for name, value in given.items() if _local(name) == "path"), "")


def _matrix(text: str | None) -> np.ndarray:
    """(4, 4), column vectors, of a transform's 12 numbers, which are for row vectors."""
    matrix = np.eye(4)
    if text:
        matrix[:3] = np.array(text.split(), np.float64).reshape(4, 3).T
    return matrix
