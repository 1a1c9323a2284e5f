"""Fuzzing at a small size: the native code under sanitizers, and its Python side with any arguments.

`make fuzz` runs the first at a million token streams and a hundred thousand meshes.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from meto import BatchDecoder, Decoder, Engine

METO = Path(__file__).parents[1]
FLAGS = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="session")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "empty.cpp").write_text("int main() {}")
    probe = subprocess.run([compiler, *FLAGS, folder / "empty.cpp", "-o", folder / "empty"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("the compiler has no sanitizers")
    program = folder / "meto_fuzz"
    source = METO / "fuzz" / "fuzz.cpp"
    subprocess.run([compiler, *FLAGS, f"-I{METO / 'include'}", source, "-o", program, "-pthread"], check=True)
    return program


@pytest.mark.parametrize("seed", [1, 2])
def test_native_code_under_sanitizers(fuzzer, seed):
    run = subprocess.run([fuzzer, "4000", "400", str(seed)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "no check failed" in run.stdout


def any_array(rng: np.random.Generator) -> np.ndarray:
    shape = [(), (0,), (7,), (5, 3), (0, 3), (3, 2), (2, 3, 3), (12, 3)][rng.integers(8)]
    dtype = ["f2", "f4", "f8", ">f4", "i1", "u1", "i2", "i4", "i8", "u8", ">i8", "?", "c16", "O", "U3"][
        rng.integers(15)
    ]
    with np.errstate(all="ignore"):
        array = rng.choice([0, 1, 2, 3, 5, -1, 0.5, 1e9, -1e30, np.nan, np.inf], shape).astype("f8")
        if dtype not in ("f2", "f4", "f8", ">f4", "c16", "O", "U3"):
            array = np.nan_to_num(array, posinf=7).clip(-(2.0**40), 2.0**40)
        array = array.astype(dtype)
    return [array, array.T, array[::2] if array.ndim else array][rng.integers(3)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_arguments_give_a_result_or_a_value_error():
    rng = np.random.default_rng(3)
    outcomes = {"result": 0, "refused": 0}
    for round in range(3000):
        backend = ("LR_ABSCO", "LR", "CLERS")[round % 3]
        engine = Engine(16, backend=backend)
        a, b = any_array(rng), any_array(rng)
        calls = [
            lambda e=engine, a=a, b=b: e.encode(a, b),
            lambda e=engine, a=a: e.decode(a),
            lambda e=engine, a=a: e.salvage(a),
            lambda e=engine, a=a, b=b: e.encode_batch([a], [b], threads=1),
            lambda e=engine, a=a, b=b: e.encode_batch(a, b, [0, a.size // 3], [0, b.size // 3], threads=1),
            lambda e=engine, a=a, b=b: e.decode_batch(a, b, threads=1),
            lambda a=a, backend=backend: Decoder(16, backend).feed(a),
            lambda a=a, backend=backend: BatchDecoder(2, 16, backend).feed(a),
        ]
        try:
            calls[rng.integers(len(calls))]()
            outcomes["result"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100, outcomes
