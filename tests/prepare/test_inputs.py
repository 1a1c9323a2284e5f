"""Sources of every kind, and items as files."""

import io
import json
import os
import shutil
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest
from broken import BOX, gltf

from core.data.prepare.inputs import Item, _bounded, companions, fetch, list_source
from core.data.prepare.rules import Rejected

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "src"
    (folder / "b").mkdir(parents=True)
    (folder / "a.obj").write_text(OBJ)
    (folder / "b" / "c.OBJ").write_text(OBJ)
    (folder / ".hidden.obj").write_text(OBJ)
    (folder / "a.mtl").write_text("newmtl a")
    return folder


def names(src, tmp_path) -> list[str]:
    return [item.name for item in list_source(str(src), tmp_path).items]


def pack(folder: Path, suffix: str, target: Path) -> Path:
    kind = {".zip": "zip", ".tar": "tar", ".tar.gz": "gztar"}[suffix]
    return Path(shutil.make_archive(str(target / "pack"), kind, folder))


def test_a_folder_tree(folder, tmp_path):
    listing = list_source(str(folder), tmp_path)
    assert [item.name for item in listing.items] == [".hidden.obj", "a.obj", "b/c.OBJ"]
    assert listing.passed_over == {".mtl": 1}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_archives_alone_and_in_folders(folder, tmp_path, suffix):
    archive = pack(folder, suffix, tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    listing = list_source(str(archive), scratch)
    assert [Path(item.name).as_posix().removeprefix("./") for item in listing.items][-2:] == ["a.obj", "b/c.OBJ"]
    file = fetch(listing.items[-1], scratch, 1 << 20)
    assert file.read_text() == OBJ
    archive.rename(folder / f"inner{suffix}")
    assert any(item.name.startswith(f"inner{suffix}/") for item in list_source(str(folder), scratch).items)


def test_an_archive_unpacks_no_further_than_allowed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.obj", bytes(3 << 20))
    item = list_source(str(tmp_path / "a.zip"), tmp_path).items[0]
    with pytest.raises(Rejected, match="unpacks to 3 MiB"):
        fetch(item, tmp_path, 2 << 20)
    with pytest.raises(Rejected, match="unpacks to more than 2 MiB"):  # what a directory says may be a lie
        _bounded(io.BytesIO(bytes(3 << 20)), 2 << 20)


def test_tars_neither_leave_their_folder_nor_explode(tmp_path):
    for name, member in (("evil", "../../out.obj"), ("bomb", "big.obj")):
        with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
            info = tarfile.TarInfo(member)
            info.size = len(OBJ) if name == "evil" else 100 << 20
            archive.addfile(info, io.BytesIO(OBJ.encode() if name == "evil" else bytes(info.size)))
    items = list_source(str(tmp_path), tmp_path / "scratch").items
    assert [item.kind for item in items] == ["bad", "bad"]
    assert "200 times its size" in items[0].member
    assert not (tmp_path.parent / "out.obj").exists()


def test_what_is_no_file_is_one_bad_item(folder, tmp_path):
    """A pipe would be waited for, as a mesh, as an archive and in a list; a device read for ever."""
    for name in ("pipe.obj", "pipe.zip", "pipe.tar.gz"):
        os.mkfifo(folder / name)
    os.symlink("/dev/zero", folder / "device.ply")
    os.symlink(folder, folder / "b" / "loop")
    (folder / "list.txt").write_text("pipe.obj\ndevice.ply\na.obj\n")
    listing = list_source(str(folder), tmp_path)
    bad = {item.name: item.member for item in listing.items if item.kind == "bad"}
    assert bad == {
        "pipe.obj": "a pipe, not a file",
        "pipe.zip": "a pipe, not a file",
        "pipe.tar.gz": "a pipe, not a file",
        "device.ply": "a device, not a file",
    }
    assert [item.name for item in listing.items if item.kind != "bad"] == [".hidden.obj", "a.obj", "b/c.OBJ"]
    listed = list_source(str(folder / "list.txt"), tmp_path)
    assert {item.name: item.kind for item in listed.items} == {"pipe.obj": "bad", "device.ply": "bad", "a.obj": "file"}
    with pytest.raises(ValueError, match="a pipe, not a file"):
        list_source(str(folder / "pipe.obj"), tmp_path)


def test_a_tar_touches_nothing_outside_of_its_folder(tmp_path):
    """A member's absolute name loses its slash when it is unpacked; its time must not go to the file of that name."""
    victim = tmp_path / "victim.obj"
    victim.write_text(OBJ)
    os.utime(victim, (1e9, 1e9))
    with tarfile.open(tmp_path / "pack.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo(str(victim))
        info.size, info.mtime = len(OBJ), 1234567
        archive.addfile(info, io.BytesIO(OBJ.encode()))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (item,) = list_source(str(tmp_path / "pack.tar.gz"), scratch).items
    assert item.kind == "file"
    assert Path(item.place).is_relative_to(scratch)
    assert os.stat(item.place).st_mtime == 1234567
    assert victim.stat().st_mtime == 1e9


def test_lists_and_urls(folder, tmp_path):
    (tmp_path / "list.txt").write_text(f"# mine\nsrc/a.obj\nsrc/gone.obj\nfile://{folder}/b\n")
    items = list_source(str(tmp_path / "list.txt"), tmp_path).items
    assert {item.name.rsplit("/", 1)[1]: item.kind for item in items} == {
        "a.obj": "file",
        "gone.obj": "bad",
        "c.OBJ": "url",
    }
    listing = list_source(f"file://{folder}", tmp_path)
    assert [item.name for item in listing.items][1:] == ["a.obj", "b/c.OBJ"]
    assert fetch(listing.items[2], tmp_path, 1 << 20).read_text() == OBJ
    again = list_source(f"file://{folder}", tmp_path)
    assert again.items == listing.items
    (folder / "a.obj").write_text(OBJ + "# more\n")
    assert [
        a.stamp != b.stamp for a, b in zip(list_source(f"file://{folder}", tmp_path).items, listing.items, strict=True)
    ] == [
        False,
        True,
        False,
    ]


def test_an_archive_at_a_url_is_looked_into(folder, tmp_path):
    archive = pack(folder, ".zip", tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    alone = list_source(f"file://{archive}", scratch).items
    assert [item.name for item in alone][-2:] == ["a.obj", "b/c.OBJ"]
    archive.rename(folder / "inner.zip")
    inside = list_source(f"file://{folder}", scratch).items
    assert "inner.zip/b/c.OBJ" in [item.name for item in inside]
    assert fetch(inside[-1], scratch, 1 << 20).read_text() == OBJ


def test_a_gltf_brings_its_buffers(tmp_path):
    import json

    document = gltf(24)
    document["buffers"][0]["uri"] = "data.bin"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/model.gltf", json.dumps(document))
        archive.writestr("deep/data.bin", bytes(24 * 16))
    listing = list_source(str(tmp_path / "a.zip"), tmp_path)
    (tmp_path / "scratch").mkdir()
    path = fetch(listing.items[0], tmp_path / "scratch", 1 << 20)
    assert (path.parent / "data.bin").stat().st_size == 24 * 16


def test_objaverse_through_its_package(tmp_path, monkeypatch):
    """The package is not needed here: what is called of it is."""
    (tmp_path / "x.glb").write_bytes(BOX.export(file_type="glb"))
    package = types.ModuleType("objaverse")
    package.load_annotations = lambda uids: {uids[0]: {"license": "by"}}  # type: ignore[attr-defined]
    package.load_objects = lambda uids: {uids[0]: str(tmp_path / "x.glb")}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "objaverse", package)
    (tmp_path / "uids").write_text("bb\naa\n")
    items = list_source(f"objaverse:{tmp_path}/uids", tmp_path).items
    assert [(item.name, item.licence) for item in items] == [("aa.glb", "by"), ("bb.glb", "")]
    assert list_source("objaverse:cc,dd", tmp_path).items[1].place == "dd"
    assert fetch(items[0], tmp_path, 1 << 20).name == "x.glb"


def test_procedural_shapes():
    items = list_source("shapes:3", Path()).items
    assert [item.name for item in items] == ["shape-0000000", "shape-0000001", "shape-0000002"]


@pytest.mark.parametrize(
    ("src", "message"),
    [
        ("shapes:none", "shapes:N"),
        ("/no/such/place", "no such file or folder"),
        ("nonsense://bucket/a", "cannot be opened"),
        ("objaverse:", "names no uid"),
    ],
)
def test_what_is_no_source(src, message, tmp_path, monkeypatch):
    if src.startswith("objaverse"):
        monkeypatch.setitem(sys.modules, "objaverse", types.ModuleType("objaverse"))
    with pytest.raises(ValueError, match=message):
        list_source(src, tmp_path)


def test_an_empty_folder_and_an_item_that_is_bad(tmp_path):
    with pytest.raises(ValueError, match="holds no file"):
        list_source(str(tmp_path), tmp_path)
    with pytest.raises(Rejected, match="because"):
        fetch(Item("a", "", "bad", "a", "because"), tmp_path, 1)


def test_what_macos_knows_of_a_file_is_no_mesh(tmp_path):
    (tmp_path / "._a.obj").write_bytes(b"\0\5\x16\7")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("a.obj", "__MACOSX/a.obj", "__MACOSX/._a.obj", "sub/._c.obj"):
            archive.writestr(name, OBJ)
    listing = list_source(str(tmp_path), tmp_path / "scratch")
    assert [item.name for item in listing.items] == ["b.zip/a.obj"]
    assert listing.passed_over["._*"] == 4


def test_companions_are_found_by_their_decoded_names(tmp_path):
    document = {"buffers": [{"uri": "a%20b.bin"}], "images": [{"uri": "../out.png"}, {"uri": "data:,x"}]}
    for name in ("a.gltf", "b.glb"):
        (tmp_path / name).write_text(json.dumps(document))
        assert companions(tmp_path / name) == ["a b.bin"]
