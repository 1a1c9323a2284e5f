"""Building the kernels: no warnings, sizes on both sides of the border, and a cache that only the user writes to."""

import ctypes
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

import meto
from core import kernels
from core.kernels import build, structs

COMPILER = build.find_compiler()
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
INCLUDES = (f"-I{meto.get_include()}", f"-I{build.FOLDER}")
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wno-psabi", "-std=c++17")


@pytest.mark.parametrize("source", build.FLAGS_BY_SOURCE)
def test_the_sources_compile_without_a_warning(source):
    command = [COMPILER, *build.FLAGS_BY_SOURCE[source], *WARNINGS, *INCLUDES, "-fsyntax-only", build.FOLDER / source]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_structures_have_the_same_size_on_both_sides():
    if kernels.load() is None:
        pytest.skip("no kernels here")
    size = kernels.function("struct_size")
    for struct in structs.ALL:
        assert size(struct.__name__.encode()) == ctypes.sizeof(struct)
    assert size(b"Nothing") == -1


def test_a_struct_of_another_size_is_not_used(monkeypatch):
    if kernels.load() is None:
        pytest.skip("no kernels here")
    wrong = type("Linear", (ctypes.Structure,), {"_fields_": [("panels", ctypes.c_void_p)]})
    monkeypatch.setattr(structs, "ALL", (wrong,))
    with pytest.raises(AssertionError, match="Linear: 8 bytes, not 32"):
        kernels.load.__wrapped__()


def test_the_folder_is_the_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "edgerunner").mkdir(mode=0o777)
    folder = build.cache_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        build.cache_folder()
    assert build.library() is None


def test_the_key_depends_on_sources_compiler_and_processor(tmp_path, monkeypatch):
    key = build.build_key("g++")
    assert key == build.build_key("g++")
    assert key != build.build_key("clang++")
    with monkeypatch.context() as patch:
        patch.setattr(build, "processor_features", lambda: "flags: avx1024")
        assert build.build_key("g++") != key
    shutil.copytree(build.FOLDER, tmp_path / "kernels")
    with monkeypatch.context() as patch:
        patch.setattr(build, "FOLDER", tmp_path / "kernels")
        assert build.build_key("g++") == key
        with (tmp_path / "kernels" / "vec.hpp").open("a") as file:
            file.write("\n")
        assert build.build_key("g++") != key


def test_a_compiler_that_fails_leaves_nothing_and_says_why(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such flag >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert build.library() is None
    assert "no such flag" in caplog.text
    assert list((tmp_path / "edgerunner").iterdir()) == []


def test_compiling_is_announced_and_done_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def compile_library(compiler: str, path: Path) -> None:
        made.append(compiler)
        path.write_bytes(b"")

    monkeypatch.setattr(build, "compile_library", compile_library)
    assert build.library() == build.library() is not None
    assert len(made) == 1
    assert [record.message.startswith("compiled the CPU kernels") for record in caplog.records] == [True]


def test_the_kernels_under_sanitizers(tmp_path):
    """`make fuzz` runs the same for longer."""
    (tmp_path / "empty.cpp").write_text("int main() {}")
    probe = [COMPILER, *SANITIZERS, tmp_path / "empty.cpp", "-o", tmp_path / "empty"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("the compiler has no sanitizers")
    program = tmp_path / "fuzz"
    sources = (Path(__file__).parent / "fuzz.cpp", build.FOLDER / "surfaces.cpp")
    subprocess.run([COMPILER, *SANITIZERS, *INCLUDES, *sources, "-o", program], check=True)
    run = subprocess.run([program, "30"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "30 rounds, no check failed" in run.stdout
