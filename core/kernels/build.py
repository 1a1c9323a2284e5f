"""Compiling the kernels: by the machine's compiler, into a folder that only the user can write to."""

import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import meto

FOLDER = Path(__file__).parent
SWITCH = "EDGERUNNER_NATIVE"
TIMEOUT_S = 1200
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-DNDEBUG", "-fPIC", "-fopenmp", "-Wno-psabi")
# Surfaces are computed as meto computes them: see surfaces.hpp.
FLAGS_BY_SOURCE = {"kernels.cpp": FLAGS, "surfaces.cpp": (*FLAGS, "-ffp-contract=off")}

log = logging.getLogger(__name__)


def library() -> Path | None:
    """The library's file, compiled if this machine has not done so before; None where it cannot be had."""
    if os.environ.get(SWITCH) == "0":
        return None
    compiler = find_compiler()
    if compiler is None:
        log.info("no C++ compiler: generation on the CPU goes through torch's kernels, which are slower")
        return None
    try:
        path = cache_folder() / f"kernels-{build_key(compiler)}.so"
        if not path.exists():
            begun = time.monotonic()
            compile_library(compiler, path)
            log.warning("compiled the CPU kernels of generation in %.0f s: %s", time.monotonic() - begun, path)
        return path
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", b"") or b""
        log.warning("the CPU kernels of generation are not used: %s %s", error, output.decode(errors="replace")[-500:])
        return None


def find_compiler() -> str | None:
    """`$CXX`, else g++, clang++ or c++."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++", "c++"))), None)


def cache_folder() -> Path:
    """The folder of compiled libraries, which is loaded from only if no other user can write to it.

    Raises:
        OSError: it belongs to someone else, or cannot be made.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgerunner"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        folder.chmod(0o700)
    return folder


def build_key(compiler: str) -> str:
    """What the library depends on: sources, meto's headers, compiler, flags and the processor's features."""
    headers = sorted(Path(meto.get_include()).rglob("*.hpp"))
    sources = [*sorted(FOLDER.glob("*.[ch]pp")), *headers]
    parts = [" ".join((compiler, repr(FLAGS_BY_SOURCE), processor_features())).encode()]
    return hashlib.sha256(b"\0".join([*parts, *(file.read_bytes() for file in sources)])).hexdigest()[:16]


def processor_features() -> str:
    """What `-march=native` depends on: a home folder may be shared by unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform() + platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def compile_library(compiler: str, path: Path) -> None:
    """Compile both sources side by side and move the library to its place in one go, for others may be at it too.

    Raises:
        OSError, subprocess.SubprocessError: the compiler fails; the latter has its output.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        running, objects = [], []
        for source, flags in FLAGS_BY_SOURCE.items():
            objects.append(f"{folder}/{source}.o")
            command = [compiler, *flags, f"-I{meto.get_include()}", "-c", str(FOLDER / source), "-o", objects[-1]]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        for process in running:
            _, output = process.communicate(timeout=TIMEOUT_S)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args, stderr=output)
        linked = Path(folder) / path.name
        command = [compiler, *FLAGS, "-shared", *objects, "-o", str(linked)]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
        linked.replace(path)
