"""What there is to read: a source of raw files as a list of items, and an item as a file on this machine.

Listing opens no mesh. Archives that lie in a folder are looked into; nothing is unpacked but compressed tars.
"""

import io
import json
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

from core.data.mesh import MACOS_FOLDER, check_file
from core.data.prepare.rules import Rejected
from core.geometry.files import MESH_SUFFIXES

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# What lies beside meshes and belongs to them or to people; any other kind of file is listed as rejected.
COMPANIONS = frozenset(
    (".bin", ".mtl", ".png", ".jpg", ".jpeg", ".tga", ".bmp", ".gif", ".webp", ".dds", ".ktx", ".ktx2", ".hdr", ".exr")
    + (".txt", ".md", ".pdf", ".html", ".url", ".json", ".jsonl", ".csv", ".xml", ".npz", ".npy", ".py", ".ds_store")
)
MIB = 1 << 20
UNPACKED_MOST = 64 << 30  # of one compressed tar, besides 200 times its own size

Kind = Literal["file", "zip", "tar", "url", "shape", "objaverse", "bad"]


@dataclass(frozen=True)
class Item:
    """One input.

    name: below the source, unique within it    stamp: changes when the content may have (size and time, or checksum)
    place: path, URL, uid or number    member: of an archive; for kind "bad" the reason why it cannot be read
    """

    name: str
    stamp: str
    kind: Kind
    place: str
    member: str = ""
    source: str = ""
    licence: str = ""


@dataclass
class Listing:
    """The items of a source in the order of their names, and how many files of other kinds were passed over."""

    items: list[Item] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def add(self, item: Item) -> None:
        suffix, place = _suffix(item.name), PurePosixPath(item.name)
        if place.name.startswith("._") or MACOS_FOLDER in place.parts:
            self.passed_over["._*"] += 1  # what macOS knows of a file, under the file's own suffix
        elif item.kind == "bad" or suffix in MESH_SUFFIXES:
            self.items.append(item)
        elif suffix in COMPANIONS or place.name.startswith("."):
            self.passed_over[suffix or "none"] += 1
        else:
            reason = f"unknown kind of file {suffix!r}; readable are {' '.join(MESH_SUFFIXES)}"
            self.items.append(replace(item, kind="bad", member=reason))


def list_source(src: str, scratch: Path, seed: int = 0) -> Listing:
    """All inputs of a source (see `PrepareConfig.src`); `scratch` takes what has to be fetched or unpacked first.

    Raises ValueError for a source that is not there, of an unknown kind, or without any mesh.
    """
    listing = Listing()
    kind, _, rest = src.partition(":")
    if kind == "shapes":
        listing.items = [Item(f"shape-{k:07d}", str(seed), "shape", str(k)) for k in range(_count(rest))]
    elif kind == "objaverse":
        listing.items = list(_objaverse(rest))
    else:
        _list_place(src, "", scratch, listing)
    listing.items.sort(key=lambda item: item.name)
    twice = [a.name for a, b in zip(listing.items, listing.items[1:], strict=False) if a.name == b.name]
    if twice:
        raise ValueError(f"{src}: {twice[0]} is there twice")
    if not listing.items:
        raise ValueError(f"{src}: holds no file with one of the suffixes {' '.join(MESH_SUFFIXES)}")
    return listing


def source_name(src: str) -> str:
    """What the column `source` says where nothing else is given."""
    if src.split(":")[0] in ("shapes", "objaverse"):
        return {"shapes": "procedural", "objaverse": "objaverse"}[src.split(":")[0]]
    return PurePosixPath(src.rstrip("/")).name or src


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"shapes:{text}: write shapes:N with N procedural shapes, 1 or more")
    return int(text)


def _list_place(src: str, prefix: str, scratch: Path, listing: Listing) -> None:
    path = Path(src)
    if "://" in src:
        _list_url(src, prefix, scratch, listing)
    elif path.is_dir():
        _list_folder(path, prefix, scratch, listing)
    elif not path.exists():
        raise ValueError(f"{src}: no such file or folder")
    elif not path.is_file():
        check_file(path)
    elif path.suffix.lower() in (".txt", ".lst"):
        _list_lines(path, scratch, listing)
    elif _suffix(path.name) in ARCHIVES:
        _list_archive(path, prefix, scratch, listing)
    elif path.suffix.lower() in MESH_SUFFIXES:
        listing.add(_file(path, prefix + path.name))
    else:
        raise ValueError(f"{src}: neither a folder, an archive ({' '.join(ARCHIVES)}), a list (.txt) nor a mesh")


def _file(path: Path, name: str) -> Item:
    try:
        check_file(path)
        state = path.stat()
    except (ValueError, OSError) as error:  # a dangling link, a pipe
        return Item(name, "", "bad", str(path), str(error).removeprefix(f"{path}: "))
    return Item(name, f"{state.st_size}-{state.st_mtime_ns}", "file", str(path))


def _list_folder(folder: Path, prefix: str, scratch: Path, listing: Listing) -> None:
    for where, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            below = prefix + path.relative_to(folder).as_posix()
            if _suffix(name) in ARCHIVES and path.is_file():
                _list_archive(path, f"{below}/", scratch, listing)
            else:
                listing.add(_file(path, below))


def _list_lines(path: Path, scratch: Path, listing: Listing) -> None:
    """A path or URL a line; relative ones are relative to the list. A line may be a folder or an archive itself."""
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        place = line if "://" in line else str(path.parent / line)
        here, path_here = "://" not in line, Path(place)
        if here and not path_here.is_dir() and not (path_here.is_file() and _suffix(line) in ARCHIVES):
            listing.add(_file(path_here, line))
        else:
            _list_place(place, line.rstrip("/") + "/", scratch, listing)


# ---------------------------------------------------------------------------------------------------------------------
# Archives


def _list_archive(path: Path, prefix: str, scratch: Path, listing: Listing) -> None:
    """The members of an archive; one that cannot be opened is one bad item."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if not info.is_dir():
                        stamp = f"{info.file_size}-{info.CRC:08x}"
                        listing.add(Item(prefix + info.filename, stamp, "zip", str(path), info.filename))
        elif path.suffix.lower() == ".tar":
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isreg():
                        stamp = f"{member.size}-{member.mtime}"
                        listing.add(Item(prefix + member.name, stamp, "tar", str(path), member.name))
        else:
            _list_folder(_unpack(path, scratch), prefix, scratch, listing)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError) as error:
        reason = f"not a readable archive ({type(error).__name__}: {error})"
        listing.items.append(Item(prefix.rstrip("/") or path.name, "", "bad", str(path), reason))


def _unpack(path: Path, scratch: Path) -> Path:
    """A compressed tar has no random access: all of it goes to a folder, which is removed with `scratch`."""
    folder = scratch / f"unpacked-{len(list(scratch.glob('unpacked-*')))}"
    budget = min(UNPACKED_MOST, 200 * path.stat().st_size + 64 * MIB)
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            budget -= member.size
            if budget < 0:
                raise ValueError("unpacks to more than 200 times its size")
            if member.isreg():
                inside = tarfile.data_filter(member, str(folder))  # its name may begin with "/", and then loses that
                archive.extract(member, folder, filter="data")
                os.utime(folder / inside.name, (member.mtime, member.mtime))
    folder.mkdir(exist_ok=True)
    return folder


# ---------------------------------------------------------------------------------------------------------------------
# Elsewhere


def _list_url(url: str, prefix: str, scratch: Path, listing: Listing) -> None:
    """Every file below a URL, or the one that it names, through fsspec; archives are fetched to be looked into."""
    system, root = _file_system(url)
    found = system.find(root, detail=True)
    if not found:
        raise ValueError(f"{url}: nothing is there")
    alone = list(found) == [root]
    base = system._parent(root) if alone else root
    for place, info in found.items():
        name = prefix + os.path.relpath(place, base)
        if _suffix(place) in ARCHIVES:
            local = scratch / f"fetched-{len(list(scratch.glob('fetched-*')))}{_suffix(place)}"
            system.get_file(place, str(local))
            _list_archive(local, prefix if alone else f"{name}/", scratch, listing)
        else:
            marks = (info[k] for k in ("ETag", "etag", "md5Hash", "mtime", "LastModified") if info.get(k) is not None)
            stamp = f"{info.get('size')}-{next(marks, '')}"
            listing.add(Item(name, stamp, "url", system.unstrip_protocol(place)))


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{url}: cannot be opened ({error}); see docs/data.md for what each kind of URL needs"
        ) from None


def _objaverse(what: str) -> Iterator[Item]:
    """Items of comma-separated uids, or of a file with one a line; their licences come from the annotations."""
    try:
        import objaverse
    except ImportError:
        raise ValueError("objaverse: is read through its package: pip install objaverse") from None
    words: Iterable[str] = Path(what).read_text().split() if Path(what).is_file() else what.split(",")
    uids = sorted({word.strip() for word in words if word.strip()})
    if not uids:
        raise ValueError(f"objaverse:{what}: names no uid and no file of them")
    known = objaverse.load_annotations(uids)
    for uid in uids:
        yield Item(f"{uid}.glb", uid, "objaverse", uid, licence=str(known.get(uid, {}).get("license", "")))


# ---------------------------------------------------------------------------------------------------------------------
# An item as a file


def fetch(item: Item, scratch: Path, most_bytes: int) -> Path:
    """The item as a file on this machine, with the buffers that a .gltf names; copies go into `scratch`.

    Raises Rejected for what is too large or cannot be had.
    """
    if item.kind == "bad":
        raise Rejected("unreadable", item.member)
    if item.kind == "file":
        path = Path(item.place)
    elif item.kind == "objaverse":
        import objaverse

        path = Path(objaverse.load_objects([item.place])[item.place])
    else:
        return _copy(item, scratch, most_bytes)
    if (size := path.stat().st_size) > most_bytes:
        raise Rejected("too large", f"{size / MIB:.0f} MiB, --max_file_mb allows {most_bytes / MIB:.0f}")
    return path


def _copy(item: Item, scratch: Path, most_bytes: int) -> Path:
    path = scratch / PurePosixPath(item.name).name
    path.write_bytes(_read(item, item.member or item.place, most_bytes))
    place = PurePosixPath(item.member or item.place)
    for name in companions(path):
        try:
            data = _read(item, str(place).removesuffix(place.name) + name, most_bytes)
        except (KeyError, OSError):
            continue  # the reader says what is missing, if it is needed
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(data)
    return path


def _read(item: Item, place: str, most_bytes: int) -> bytes:
    if item.kind == "zip":
        declared = _zip(item.place).getinfo(place).file_size
        if declared > most_bytes:
            raise Rejected(
                "too large", f"unpacks to {declared / MIB:.0f} MiB, --max_file_mb allows {most_bytes / MIB:.0f}"
            )
        return _bounded(_zip(item.place).open(place), most_bytes)
    if item.kind == "tar":
        content = _tar(item.place).extractfile(place)
        assert content is not None, "only regular files are listed"
        return _bounded(content, most_bytes)
    system, path = _file_system(place)
    return _bounded(system.open(path, "rb"), most_bytes)


@lru_cache(maxsize=4)  # open, with its directory: reading that anew for each member takes quadratic time
def _zip(place: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(place)


@lru_cache(maxsize=4)
def _tar(place: str) -> tarfile.TarFile:
    return tarfile.open(place, "r:")


def _bounded(stream: Any, most_bytes: int) -> bytes:
    """What the stream holds, never more than the limit, whatever a header promised: archives may be bombs."""
    with stream:
        buffer = io.BytesIO()
        while chunk := stream.read(MIB):
            buffer.write(chunk)
            if buffer.tell() > most_bytes:
                raise Rejected("too large", f"unpacks to more than {most_bytes / MIB:.0f} MiB (--max_file_mb)")
        return buffer.getvalue()


def companions(path: Path) -> list[str]:
    """Files that a .gltf or .obj needs beside it, by the names it calls them; none outside its own folder."""
    suffix, names = path.suffix.lower(), []
    if suffix in (".gltf", ".glb"):  # one may be named as the other
        try:
            data = path.read_bytes()
            document = {} if data[:4] == b"glTF" else json.loads(data)
            listed = [*document.get("buffers", []), *document.get("images", [])]
            names = [unquote(entry.get("uri", "")) for entry in listed]
        except (ValueError, AttributeError, TypeError):
            return []  # not glTF: the reader will say so
    elif suffix == ".obj":
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace").splitlines()
        names = [line.split(maxsplit=1)[1].strip() for line in head if line.startswith("mtllib ") and len(line) > 7]
    return [n for n in names if isinstance(n, str) and n and ":" not in n and ".." not in n and not n.startswith("/")]


def _suffix(name: str) -> str:
    """In lower case; both parts of .tar.gz and its like."""
    low = PurePosixPath(name).name.lower()
    return next((end for end in ARCHIVES if low.endswith(end)), PurePosixPath(low).suffix)
