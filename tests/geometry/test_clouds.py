"""Point clouds: columns of text, arrays, .pcd and .las; and points that are no part of the object."""

import io
import logging
import struct

import numpy as np
import pytest

from core.data.mesh import load
from core.geometry.clouds import find_strays
from core.geometry.files import read_mesh

POINTS = np.random.default_rng(0).normal(size=(50, 3)).round(4)
ROWS = [" ".join(map(str, p)) for p in POINTS]
CLOUDS = {
    "scans.pts": "\n".join(["20", *ROWS[:20], "30", *ROWS[20:]]),
    "intensity.pts": "50\n" + "\n".join(f"{row} 12 255 0 0" for row in ROWS),
    "names.csv": 'id;"Y";X [m];z(m)\n' + "\n".join(f"{k};{y};{x};{z}" for k, (x, y, z) in enumerate(POINTS)),
    "ends.csv": "x, y, z,\n" + "\n".join(f"{x}, {y},{z}," for x, y, z in POINTS),
    "colours_first.xyz": "//R G B X Y Z\n" + "\n".join(f"9 9 9 {row}" for row in ROWS),
    "remarks.xyz": "# made by\n\n// a test\n\ufeff".replace("\ufeff", "") + "\n# and\n".join(ROWS),
    "wide.xyz": ("\ufeff" + "\r\n".join(row.replace(" ", "\t") for row in ROWS)).encode("utf-16"),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_in_many_writings(tmp_path, name):
    content = CLOUDS[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    np.testing.assert_array_equal(load(tmp_path / name).vertices, POINTS)


def test_arrays_with_names_fields_and_ranks(tmp_path):
    fields = np.zeros(50, [("intensity", "u1"), ("Z", ">f8"), ("X", "f8"), ("Y", "f8")])
    for k, axis in enumerate("XYZ"):
        fields[axis] = POINTS[:, k]
    np.save(tmp_path / "fields.npy", fields)
    np.save(tmp_path / "rank.npy", POINTS[None])
    np.save(tmp_path / "fortran.npy", np.asfortranarray(np.concatenate([POINTS, POINTS], axis=1)))
    np.savez(tmp_path / "many.npz", normals=POINTS * 0, points=POINTS, labels=np.arange(50))
    np.savez_compressed(tmp_path / "one.npz", whatever=POINTS)
    for name in ("fields.npy", "rank.npy", "fortran.npy", "many.npz", "one.npz"):
        np.testing.assert_array_equal(load(tmp_path / name).vertices, POINTS, err_msg=name)
    np.savez(tmp_path / "which.npz", a=POINTS, b=POINTS)
    np.savez(tmp_path / "objects.npz", points=np.array([{}], object))
    np.save(tmp_path / "turned.npy", np.concatenate([POINTS, POINTS], axis=1).T)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**11, 3)})
    (tmp_path / "huge.npy").write_bytes(head.getvalue() + b"\0" * 48)
    for name, words in (
        ("which.npz", "holds a, b"),
        ("objects.npz", "pickled"),
        ("turned.npy", "transpose"),
        ("huge.npy", "declares"),
    ):
        with pytest.raises(ValueError, match=f"{name}: .*{words}"):
            load(tmp_path / name)


def pcd(data: str, body: bytes, fields: str = "x y z rgb", points: int = 50) -> bytes:
    head = f"# .PCD v0.7\nVERSION 0.7\nFIELDS {fields}\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\n"
    return f"{head}WIDTH {points}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {points}\nDATA {data}\n".encode() + body


def test_pcd(tmp_path):
    rows = np.concatenate([POINTS, POINTS[:, :1]], axis=1).astype("<f4")
    columns = rows.T.tobytes()
    plain = b"".join(bytes([len(columns[k : k + 32]) - 1]) + columns[k : k + 32] for k in range(0, len(columns), 32))
    (tmp_path / "text.pcd").write_bytes(pcd("ascii", "\r\n".join(f"{row} nan" for row in ROWS).encode()))
    (tmp_path / "binary.pcd").write_bytes(pcd("binary", rows.tobytes()))
    (tmp_path / "packed.pcd").write_bytes(
        pcd("binary_compressed", struct.pack("<II", len(plain), len(columns)) + plain)
    )
    for name in ("text.pcd", "binary.pcd", "packed.pcd"):
        np.testing.assert_allclose(load(tmp_path / name).vertices, POINTS, rtol=1e-6, err_msg=name)
    # A one, then the same four bytes again and again: references that overlap what they make.
    runs = bytes([3, 0, 0, 128, 63]) + bytes([7 << 5, 255, 3]) * 3 + bytes([2 << 5, 3])
    (tmp_path / "runs.pcd").write_bytes(pcd("binary_compressed", struct.pack("<II", len(runs), 800) + runs))
    assert (read_mesh(tmp_path / "runs.pcd").vertices == np.ones((50, 3))).all()
    (tmp_path / "runs.pcd").write_bytes(pcd("binary_compressed", struct.pack("<II", len(runs) - 2, 800) + runs))
    with pytest.raises(ValueError, match="give 796 bytes, declared are 800"):
        read_mesh(tmp_path / "runs.pcd")
    (tmp_path / "cut.pcd").write_bytes(pcd("binary", rows.tobytes()[:-1]))
    (tmp_path / "flat.pcd").write_bytes(pcd("binary", rows.tobytes(), "x y i rgb"))
    for name, words in (("cut.pcd", "declares 50 points, holds 49"), ("flat.pcd", "no field z")):
        with pytest.raises(ValueError, match=f"{name}: .*{words}"):
            load(tmp_path / name)


@pytest.mark.parametrize("minor", [2, 4])
def test_las(tmp_path, minor):
    header = bytearray(375 if minor == 4 else 227)
    header[:4], header[24], header[25] = b"LASF", 1, minor
    struct.pack_into("<HI", header, 94, len(header), len(header))
    struct.pack_into("<BHI", header, 104, 1, 28, 0 if minor == 4 else 50)
    struct.pack_into("<6d", header, 131, 1e-4, 1e-4, 1e-4, 4e5, 5e6, 0)
    if minor == 4:
        struct.pack_into("<Q", header, 247, 50)
    rows = np.zeros(50, np.dtype({"names": ["p"], "formats": [("<i4", 3)], "itemsize": 28}))
    rows["p"] = np.round(POINTS * 1e4)
    (tmp_path / "a.las").write_bytes(bytes(header) + rows.tobytes())
    np.testing.assert_allclose(load(tmp_path / "a.las").vertices, POINTS + [4e5, 5e6, 0], atol=1e-9)
    (tmp_path / "cut.las").write_bytes(bytes(header) + rows.tobytes()[:-1])
    with pytest.raises(ValueError, match="declares 50 points of 28 bytes, has room for 49"):
        load(tmp_path / "cut.las")
    header[104] |= 0x80
    (tmp_path / "packed.las").write_bytes(bytes(header) + rows.tobytes())
    with pytest.raises(ValueError, match="LAZ"):
        load(tmp_path / "packed.las")


def test_padding_and_outliers_are_found_and_nothing_else():
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(400, 3))
    rod = np.stack([rng.uniform(0, 100, 400), *rng.normal(size=(2, 400)) * 0.1], axis=1)
    for cloud in (ball, rod, ball[:8], np.concatenate([ball, [[0, 0, 0]]]), ball + 1e7):
        assert not find_strays(cloud).any.any()
    far = np.concatenate([ball, np.zeros((100, 3)), [[300, 0, 0], [310, 5, 0], [0, 0, -90]]])
    strays = find_strays(far)
    assert np.flatnonzero(strays.zeros).tolist() == list(range(400, 500))
    assert np.flatnonzero(strays.outliers).tolist() == [500, 501, 502]
    assert "100 points lie at exactly 0 0 0" in str(strays)
    assert "3 outliers lie far" in str(strays)
    two_things = np.concatenate([ball, ball[:50] + 1000])
    assert not find_strays(two_things).any.any()


def test_strays_are_said_and_dropped_when_asked(tmp_path, caplog):
    path = tmp_path / "cloud.xyz"
    np.savetxt(path, np.concatenate([POINTS, np.zeros((9, 3)), [[900, 0, 0]], [[np.nan, 0, 0]]]))
    with caplog.at_level(logging.WARNING):
        kept = load(path)
    assert len(kept.vertices) == 60
    assert f"{path}: 1 of 61 points are not finite and are left out" in caplog.text
    assert f"{path}: 9 points lie at exactly 0 0 0, as padding does and 1 outlier lies" in caplog.text
    assert "--drop_strays" in caplog.text
    np.testing.assert_array_equal(load(path, drop_strays=True).vertices, POINTS)
    caplog.clear()
    load(path, warn=False)
    assert not caplog.text
