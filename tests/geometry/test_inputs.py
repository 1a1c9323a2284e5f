"""Every file of `tests/inputs`, each of a kind that people have, is read as `cases.json` says."""

import pytest

from core.data.mesh import load
from tests.geometry.known import CASES, complaint


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_read_as_expected(case):
    assert not complaint(case, load)
