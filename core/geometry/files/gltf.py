"""glTF 2.0, as .gltf or .glb: the file itself, its buffers and accessors. What is drawn of it: `gltf_scene`."""

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MOST_BYTES = 1 << 31  # of a buffer view that is decompressed
MOST_UNBACKED = 1 << 28  # bytes of an accessor that no data stand behind, so that nothing else bounds it
DRACO = "KHR_draco_mesh_compression"
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
INSTANCING = "EXT_mesh_gpu_instancing"
# Extensions that may be required: those that are followed here, and those that only say how things look or behave.
_KNOWN = re.compile(
    rf"{DRACO}|{'|'.join(MESHOPT)}|{INSTANCING}|KHR_mesh_quantization|(KHR|EXT)_(materials|texture|lights)_\w+"
    r"|MSFT_texture_dds|MSFT_lod|MSFT_packing_\w+|KHR_animation_pointer|KHR_xmp\w*"
)


def open_document(data: bytes, path: Path) -> "Document":
    """The file's JSON and its own binary chunk; which of the two forms it has, the content tells."""
    chunk = b""
    if data[:4] == b"glTF":
        data, chunk = _chunks(data)
    elif len(data) < 2:
        raise ValueError("it is empty")
    try:
        content = json.loads(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"neither glTF's JSON nor binary glTF ({error})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"its JSON is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("its JSON is no object")
    version = str(content.get("asset", {}).get("version", ""))
    if version.startswith("1") or isinstance(content.get("nodes"), dict):
        raise ValueError(f"it is glTF of version {version or '1.0'}; version 2.0 is read")
    for name in content.get("extensionsRequired", []):
        if not _KNOWN.fullmatch(str(name)):
            raise ValueError(f"it requires the extension {name}, which is not known here")
    return Document(content, chunk, path)


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """JSON and binary chunk of a .glb; chunks of other kinds are passed over."""
    if len(data) < 20:
        raise ValueError(f"ends after {len(data)} bytes, within its header")
    version, length = struct.unpack_from("<II", data, 4)
    if version == 1:
        raise ValueError("it is binary glTF of version 1.0; version 2.0 is read")
    if length > len(data):
        raise ValueError(f"declares a length of {length} bytes, holds {len(data)}: it is truncated")
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        if at + 8 + size > len(data):
            if kind in found or kind not in (b"JSON", b"BIN\0"):
                break
            raise ValueError(f"a chunk declares {size} bytes, {len(data) - at - 8} are there: it is truncated")
        found.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size + -size % 4
    if b"JSON" not in found:
        raise ValueError("it has no JSON chunk")
    return found[b"JSON"], found.get(b"BIN\0", b"")


class Document:
    """What a glTF file holds.

    Attributes:
        content: its JSON.
    """

    def __init__(self, content: dict[str, Any], chunk: bytes, path: Path):
        self.content, self._chunk, self._path = content, chunk, path
        self._buffers: dict[int, bytes] = {}

    def entry(self, kind: str, index: Any) -> dict[str, Any]:
        """Entry `index` of the list `kind`, "meshes" for example."""
        entries = self.content.get(kind, [])
        if not isinstance(index, int) or not 0 <= index < len(entries):
            raise ValueError(f"there is no number {index} among its {len(entries)} {kind}")
        return entries[index]

    def accessor(self, index: Any) -> np.ndarray:
        """(count, width) float64 of normalized or float values, else of the file's integer type."""
        accessor = self.entry("accessors", index)
        kind, width = COMPONENTS.get(accessor.get("componentType", 0)), WIDTHS.get(accessor.get("type", ""))
        if kind is None or width is None:
            raise ValueError(f"accessor {index} is of an unknown type")
        count = _natural(accessor, "count")
        if "bufferView" in accessor:
            values = self._values(accessor, kind, width, count, f"accessor {index}")
        elif count * width * 8 > MOST_UNBACKED:
            raise ValueError(f"accessor {index} declares {count} values without data")
        else:
            values = np.zeros((count, width), kind)
        if sparse := accessor.get("sparse"):
            values = self._with_sparse(values, sparse, kind, width, f"accessor {index}")
        if kind == "<f4":
            return values.astype(np.float64)
        if accessor.get("normalized"):
            return np.maximum(values / np.iinfo(np.dtype(kind)).max, -1.0)
        return values

    def _with_sparse(self, values: np.ndarray, sparse: dict[str, Any], kind: str, width: int, name: str) -> np.ndarray:
        count = _natural(sparse, "count")
        where, what = sparse["indices"], sparse["values"]
        places = self._values(where, COMPONENTS[where["componentType"]], 1, count, f"{name}, sparse indices")[:, 0]
        if count and places.max() >= len(values):
            raise ValueError(f"{name} has a sparse value for entry {places.max()} of {len(values)}")
        values = values.copy()
        values[places] = self._values(what, kind, width, count, f"{name}, sparse values")
        return values

    def _values(self, place: dict[str, Any], kind: str, width: int, count: int, name: str) -> np.ndarray:
        """(count, width) numbers of a buffer view, from the byteOffset of `place` on."""
        data, stride = self.view(place.get("bufferView"))
        item = np.dtype(kind).itemsize * width
        stride, offset = stride or item, _natural(place, "byteOffset", 0)
        if count and offset + stride * (count - 1) + item > len(data):
            raise ValueError(f"{name} declares {count} values, its buffer view of {len(data)} bytes has not so many")
        return np.ndarray((count, width), kind, data, offset, (stride, np.dtype(kind).itemsize))

    def view(self, index: Any) -> tuple[bytes, int]:
        """A buffer view's bytes and its stride (0: none is said), decompressed where it is compressed."""
        view = self.entry("bufferViews", index)
        packed = next((view["extensions"][n] for n in MESHOPT if n in view.get("extensions", {})), None)
        if packed is not None and (has_meshopt() or not self._has_plain(view)):
            return _unpack_meshopt(self._slice(packed, index), packed), _natural(packed, "byteStride")
        return self._slice(view, index), _natural(view, "byteStride", 0)

    def _has_plain(self, view: dict[str, Any]) -> bool:
        """Whether the same data stand in the file without compression, for readers that do not know it."""
        required = set(self.content.get("extensionsRequired", [])) & set(MESHOPT)
        buffer = self.entry("buffers", view.get("buffer"))
        return not required and ("uri" in buffer or (view.get("buffer") == 0 and bool(self._chunk)))

    def _slice(self, view: dict[str, Any], index: int) -> bytes:
        data = self.buffer(view.get("buffer"))
        begin, length = _natural(view, "byteOffset", 0), _natural(view, "byteLength")
        if begin + length > len(data):
            raise ValueError(f"buffer view {index} ends at byte {begin + length} of a buffer of {len(data)} bytes")
        return data[begin : begin + length]

    def buffer(self, index: Any) -> bytes:
        if index not in self._buffers:
            buffer = self.entry("buffers", index)
            data = self._load(buffer.get("uri"), index)
            if len(data) < (length := _natural(buffer, "byteLength")):
                raise ValueError(f"buffer {index} declares {length} bytes, {len(data)} are there: it is truncated")
            self._buffers[index] = data
        return self._buffers[index]

    def _load(self, uri: Any, index: int) -> bytes:
        if uri is None:
            if index == 0 and self._chunk:
                return self._chunk
            raise ValueError(f"buffer {index} has neither a uri nor a binary chunk")
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            return base64.b64decode(unquote(body)) if head.endswith(";base64") else unquote_to_bytes(body)
        if re.match(r"\w+:|[/\\]", uri):
            raise ValueError(f"buffer {index} lies at {uri[:80]!r}: only files beside the file itself are read")
        return _read_beside(self._path, uri)


def _read_beside(path: Path, uri: str) -> bytes:
    """A file that another names; the name may be percent-encoded."""
    from core.geometry.files import check_content

    for name in (unquote(uri), uri):
        place = path.parent / name.replace("\\", "/")
        if place.is_file():
            data = place.read_bytes()
            try:
                check_content(data)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            return data
    raise ValueError(f"{unquote(uri)} is not there, which belongs to the file")


def _natural(entry: dict[str, Any], key: str, default: int | None = None) -> int:
    value = entry.get(key, default)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is {value!r}, not a whole number from 0 on")
    return value


def has_meshopt() -> bool:
    try:
        import meshopt  # noqa: F401
    except ImportError:
        return False
    return True


def _unpack_meshopt(data: bytes, packed: dict[str, Any]) -> bytes:
    count, stride = _natural(packed, "count"), _natural(packed, "byteStride")
    if count * stride > MOST_BYTES:
        raise ValueError(f"a buffer view of {MESHOPT[0]} declares {count} entries of {stride} bytes")
    if not has_meshopt():
        raise ValueError(f"it is compressed by {MESHOPT[0]}: `pip install meshopt` reads that")
    import meshopt

    try:
        kind = packed.get("filter", "NONE")
        rows = meshopt.decode_gltf_buffer(data, count, stride, packed["mode"], None if kind == "NONE" else kind)
    except Exception as error:
        raise ValueError(f"its data of {MESHOPT[0]} are damaged: {error}") from error
    return np.ascontiguousarray(rows).tobytes()
