"""Unfinished surfaces: groups of a stream, what is observed before each, live and replayed."""

import numpy as np
import pytest

from meto import Engine, SurfaceBatch
from meto.surface import (
    BOM,
    END,
    LEFT,
    RIGHT,
    SECOND,
    SECOND_PHASE,
    START_PHASE,
    THIRD,
    THIRD_PHASE,
    TURN_PHASE,
    estimate_normals,
    to_groups,
    to_tokens,
)

BINS = 32
FIRST = [[BOM, 4, 4, 4], [SECOND, 8, 4, 4], [THIRD, 4, 8, 4]]


def octahedra(count=2):
    """Closed surfaces beside each other, and the tokens of them all."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    shift = np.linspace(-0.6, 0.6, count)
    vertices = np.concatenate([0.25 * corners + [x, 0, 0] for x in shift])
    faces = np.concatenate([faces + 6 * k for k in range(count)])
    return vertices, faces, Engine(BINS).encode(vertices, faces)[0]


def test_groups_and_tokens_are_the_same_stream():
    tokens = octahedra()[2]
    groups = to_groups(tokens)
    assert np.array_equal(to_tokens(groups), tokens)
    kinds = groups[:, 0]
    assert kinds[:3].tolist() == [BOM, SECOND, THIRD]
    assert kinds[-1] == END
    assert (kinds == BOM).sum() == (tokens == BOM).sum()
    assert len(groups) == (kinds <= RIGHT).sum() + 3 * (kinds == BOM).sum() + 1
    assert to_groups([]).tolist() == [[END, 0, 0, 0]]


@pytest.mark.parametrize("cut", range(1, 20))
def test_parts_of_a_group_are_refused(cut):
    tokens = octahedra()[2][:cut]
    if cut in (10, 14, 18):
        assert len(to_tokens(to_groups(tokens))) == cut
    elif cut not in (4, 7):  # whole vertices of a first face
        with pytest.raises(ValueError, match=f"{cut} tokens"):
            to_groups(tokens)


def test_live_equals_replayed_in_any_batch():
    rng = np.random.default_rng(0)
    streams = [to_groups(octahedra(n)[2]) for n in (1, 2)]
    clouds = [rng.uniform(-1, 1, (n, 3)).astype(np.float32) for n in (50, 300)]
    surfaces = SurfaceBatch(2, BINS, near=4, spread=3, open=2)
    wanted = [surfaces.replay(groups, cloud) for groups, cloud in zip(streams, clouds, strict=True)]
    for k, cloud in enumerate(clouds):
        surfaces.begin(k, cloud)
    for step in range(max(map(len, streams))):
        observed = surfaces.observe()
        for k, groups in enumerate(streams):
            if step < len(groups):
                for name in observed._fields:
                    assert np.array_equal(getattr(observed, name)[k], getattr(wanted[k], name)[step])
        surfaces.commit([g[step] if step < len(g) else [-1, 0, 0, 0] for g in streams])


def test_some_surfaces_by_their_numbers():
    groups = to_groups(octahedra(3)[2])
    points = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    all_of, some = (SurfaceBatch(3, BINS, near=4, spread=3, open=2) for _ in range(2))
    for batch in (all_of, some):
        batch.begin(1, points)
        batch.begin(2)
    for group in groups:
        for mine, other in zip(all_of.observe(), some.observe([2, 1]), strict=True):
            assert np.array_equal(mine[[2, 1]], other)
        some.commit([group, group], [2, 1])
        all_of.commit([[-1, 0, 0, 0], group, group])
    assert some.observe([0]).phase.tolist() == [START_PHASE]
    with pytest.raises(ValueError, match="surface 3 of 3"):
        some.observe([3])
    with pytest.raises(ValueError, match="surface -1 of 3"):
        some.commit([[-1, 0, 0, 0]], [-1])


def test_a_forked_surface_goes_on_as_its_parent_and_independently():
    groups = to_groups(octahedra(3)[2])
    points = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    surfaces = SurfaceBatch(3, BINS, near=4, spread=3, open=2)
    surfaces.begin(0, points, with_cost=True, with_faces=True)
    half = len(groups) // 2
    for group in groups[:half]:
        surfaces.commit([group], [0])
    surfaces.fork(0, 2)
    candidates = [
        [[-1, 0, 0, 0]] * 4,
        [[-1, 0, 0, 0]] * 4,
        [[kind, 3, 5, 7 + kind] for kind in (LEFT, RIGHT, BOM, LEFT)],
    ]
    candidates[0] = candidates[2]
    for group in groups[half:]:
        for part in surfaces.observe([0, 2]):
            assert np.array_equal(part[0], part[1])
        costs = surfaces.placement_costs(candidates)
        assert np.array_equal(costs[0], costs[2])
        refused, _ = surfaces.refused_corners([0, 2])
        assert np.array_equal(refused[0], refused[1])
        surfaces.commit([group, group], [0, 2])
    surfaces.fork(0, 1)
    before = surfaces.observe([0])
    surfaces.begin(1)
    surfaces.release(2)
    assert all(np.array_equal(a, b) for a, b in zip(before, surfaces.observe([0]), strict=True))
    assert surfaces.observe([1, 2]).phase.tolist() == [START_PHASE] * 2


def test_refused_corners_by_hand():
    surfaces = SurfaceBatch(1, BINS)

    def refused():
        table, needed = surfaces.refused_corners(width=4)
        sides = [{tuple(v) for v in side.tolist()} - {(-2, -2, -2)} for side in table[0]]
        return sides, needed

    surfaces.begin(0, with_faces=True)
    a, b, c, d = (4, 4, 4), (8, 4, 4), (4, 8, 4), (8, 8, 8)
    assert refused()[0] == [set(), set()]
    surfaces.commit([[BOM, *a]])
    assert refused()[0] == [{a}, set()]
    surfaces.commit([[SECOND, *b]])
    assert refused() == ([{a, b}, set()], 2)
    surfaces.commit([[THIRD, *c]])  # the gate: tip a, start b, end c
    assert refused() == ([{a, c, b}, {a, b, c}], 3)
    surfaces.commit([[LEFT, *d]])  # attaches to a-c; the gate: tip d, start a, end c
    assert refused()[0] == [{d, c, a}, {a, d, c}]
    surfaces.commit([[BOM, *a]])
    surfaces.commit([[SECOND, *c]])
    assert refused() == ([{a, c, b, d}, set()], 4)  # a-c has two faces
    assert surfaces.refused_corners(width=2)[1] == 4


def test_choices_follow_the_placement_costs():
    points = np.random.default_rng(0).uniform(-0.8, 0, (300, 3)).astype(np.float32)
    surfaces = SurfaceBatch(3, BINS)
    for b in (1, 2):
        surfaces.begin(b, points, with_cost=True)
    for group in FIRST:
        surfaces.commit([group, group], [1, 2])
    rng = np.random.default_rng(1)
    candidates = np.stack([np.append(rng.integers(0, 2, 1), rng.integers(4, 9, 3)) for _ in range(12)]).astype(np.int32)
    candidates = candidates.reshape(2, 6, 4)
    candidates[1, 5] = [END, 0, 0, 0]
    every = np.concatenate([np.full((1, 6, 4), -1), candidates])
    weights = np.exp(-surfaces.placement_costs(every)[1:].astype(np.float64))
    numbers, counts = np.array([1, 2], np.int64), np.zeros((2, 7))
    for uniform in (np.arange(2000) + 0.5) / 2000:
        groups = surfaces.choose(numbers, candidates, np.full(2, uniform, np.float32))
        for b in range(2):
            same = np.flatnonzero((candidates[b] == groups[b]).all(1))
            counts[b, same[0] if len(same) else 6] += 1
            assert len(same) or groups[b, 0] == END
    assert np.abs(counts / 2000 - weights / weights.sum(1, keepdims=True)).max() < 2e-3
    with pytest.raises(ValueError, match="surface 3 of 3"):
        surfaces.choose([1, 3], candidates, [0.5, 0.5])
    with pytest.raises(ValueError, match="1 numbers for 2 surfaces"):
        surfaces.choose(numbers, candidates, [0.5])


def test_phases_and_gates():
    observed = SurfaceBatch(1, BINS).replay([*FIRST, [LEFT, 8, 8, 4], [RIGHT, 8, 8, 8], [END, 0, 0, 0]])
    assert observed.phase.tolist() == [START_PHASE, SECOND_PHASE, THIRD_PHASE, *[TURN_PHASE] * 3]
    assert observed.gate[0].tolist() == [-1] * 9
    assert observed.gate[1].tolist() == [4, 4, 4] + [-1] * 6
    assert observed.gate[3].tolist() == [4, 4, 4, 8, 4, 4, 4, 8, 4]  # tip, start, end
    assert observed.gate[4].tolist() == [8, 8, 4, 4, 4, 4, 4, 8, 4]  # L: (v, tip, end)
    assert observed.gate[5].tolist() == [8, 8, 8, 4, 4, 4, 8, 8, 4]  # R: (v, start, tip)
    assert observed.open_edges.tolist() == [0, 0, 0, 3, 4, 5]
    assert observed.waiting.tolist() == [[0, 0]] * 3 + [[1, 1]] * 3


def test_a_closed_surface_leaves_no_edge_open_and_its_faces_end_at_neighbours():
    groups = to_groups(octahedra(1)[2])
    observed = SurfaceBatch(1, BINS).replay(groups)
    assert observed.open_edges[-1] == 0
    seen, closing = set(), 0
    for k, group in enumerate(groups[:-1]):
        vertex = tuple(group[1:])
        if group[0] <= RIGHT and vertex in seen:
            pair = observed.neighbours[k].reshape(2, 2, 3)[group[0]]
            assert vertex in set(map(tuple, pair))
            closing += 1
        seen.add(vertex)
    assert closing == 4  # of eight faces the first has three vertices, three more bring one, the others none


def test_vertices_of_the_open_boundary_nearest_first():
    """By brute force over the half edges that wait, in every phase; closed vertices and the gate's are left out."""
    groups = to_groups(octahedra(3)[2])
    observed = SurfaceBatch(1, BINS, open=4).replay(groups)
    waiting, seen = set(), 0
    for k in range(len(groups)):
        gate = [tuple(v) if v[0] >= 0 else None for v in observed.gate[k].reshape(3, 3).tolist()]
        anchors = []
        if observed.phase[k] == TURN_PHASE:
            tip, start, end = (np.array(v) for v in gate)
            anchors = [(tip + end) / 2, (tip + start) / 2]
        elif observed.phase[k] != START_PHASE:
            anchors = [np.array(gate[0]), np.array(gate[1] if observed.phase[k] == THIRD_PHASE else gate[0])]
        if k and observed.phase[k] == TURN_PHASE:
            for a, b in ((gate[0], gate[1]), (gate[1], gate[2]), (gate[2], gate[0])):
                waiting.remove((b, a)) if (b, a) in waiting else waiting.add((a, b))
        assert len(waiting) == observed.open_edges[k]
        boundary = {v for edge in waiting for v in edge} - set(gate)
        for side, anchor in enumerate(anchors):
            found = [tuple(v) for v in observed.open_vertices[k].reshape(2, 4, 3)[side].tolist() if v[0] >= 0]
            assert len(found) == min(4, len(boundary))
            assert len(set(found)) == len(found)
            assert set(found) <= boundary
            away = {v: float(((np.array(v) - anchor) ** 2).sum()) for v in boundary}
            assert [away[v] for v in found] == sorted(away.values())[: len(found)]
            seen += len(found)
        if not anchors:
            assert (observed.open_vertices[k] == -1).all()
    assert seen > 30


def test_points_are_covered_by_the_faces_near_them():
    vertices, faces, tokens = octahedra(2)
    rng = np.random.default_rng(0)
    picks = rng.integers(len(faces), size=400)
    weights = rng.dirichlet([1, 1, 1], 400)
    points = np.einsum("nk,nkd->nd", weights, vertices[faces[picks]]).astype(np.float32)
    cell = 2 / BINS
    observed = SurfaceBatch(1, BINS, near=5, spread=400, cover=cell).replay(to_groups(tokens), points)
    assert observed.uncovered[0] == 1
    assert (np.diff(observed.uncovered) <= 0).all()
    assert observed.uncovered[-1] == 0
    half = len(observed.phase) // 2
    left = set(observed.points[half][10:].tolist()) - {-1}
    assert left  # those of the second one, all of them
    assert all(points[k][0] > 0 for k in left)
    assert left == set(np.flatnonzero(points[:, 0] > 0).tolist())


def test_points_about_an_edge_thin_out_with_the_distance():
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (200, 3)).astype(np.float32)
    observed = SurfaceBatch(1, BINS, near=7, spread=0, cover=0.0).replay([*FIRST, [END, 0, 0, 0]], points)
    tip, start, end = (np.array(v) for v in observed.gate[3].reshape(3, 3))
    for k, edge in enumerate(((tip, end), (tip, start))):
        middle = (np.mean(edge, axis=0) + 0.5) / BINS * 2 - 1
        order = np.argsort(np.linalg.norm(points - middle, axis=1))
        ranks = [0, 1, 3, 9, 22, 50, 111]  # of the 7 * 16 nearest, growing by their sixth root
        assert observed.points[3][7 * k : 7 * k + 7].tolist() == order[ranks].tolist()


def test_few_points_come_all():
    points = np.zeros((3, 3), np.float32) + np.arange(3)[:, None] / 10
    observed = SurfaceBatch(1, BINS, near=5, spread=0, cover=0.0).replay([*FIRST, [END, 0, 0, 0]], points)
    assert sorted(observed.points[3][:5].tolist()) == [-1, -1, 0, 1, 2]


def test_normals_of_planes_and_of_a_sphere():
    rng = np.random.default_rng(0)
    for axis in range(3):
        points = rng.uniform(-1, 1, (60, 3)).astype(np.float32)
        points[:, axis] = 0.25
        assert np.abs(estimate_normals(points))[:, axis] == pytest.approx(1, abs=1e-5)
    tilted = rng.uniform(-1, 1, (300, 2)) @ np.array([[1, 0, -1], [0, 1, -2]])  # x + 2 y + z = 0
    normal = np.array([1, 2, 1]) / 6**0.5
    assert np.abs(estimate_normals(tilted.astype(np.float32)) @ normal) == pytest.approx(1, abs=1e-4)
    ball = rng.standard_normal((3000, 3))
    ball = (ball / np.linalg.norm(ball, axis=1, keepdims=True)).astype(np.float32)
    along = np.abs((estimate_normals(ball, 12) * ball).sum(1))
    assert along.min() > 0.95
    assert np.linalg.norm(estimate_normals(ball), axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((1, 3)), np.zeros((5, 3)), np.eye(3)[:2]])
def test_normals_where_there_are_none(points):
    normals = estimate_normals(points)
    assert normals.shape == points.shape
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 0), (1, 1e-3, 1e-6), (1, 0, 0)], ids=str)
@pytest.mark.parametrize("coarse", [False, True])
def test_normals_are_made_of_the_nearest_points(shape, coarse):
    points = np.random.default_rng(0).uniform(-1, 1, (700, 3)).astype(np.float32)
    if coarse:  # many points in one place, and at equal distances: the lower index is the nearer
        points = np.round(points * 4) / 4
    points *= np.array(shape, np.float32)
    squares = np.square(points[:, None] - points[None])  # (N, N, 3), float32
    distances = (squares[..., 0] + squares[..., 1]) + squares[..., 2]
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :8]
    normals = estimate_normals(points)
    for normal, about in zip(normals.astype(np.float64), points[nearest].astype(np.float64), strict=True):
        spread = about - about.mean(0)
        least = np.linalg.eigvalsh(spread.T @ spread)
        assert np.square(spread @ normal).sum() == pytest.approx(least[0], abs=1e-6 + 1e-4 * least[2])


def test_normals_of_points_that_are_nowhere():
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
    wrong = points.copy()
    wrong[7], wrong[9, 1] = np.nan, np.inf
    assert np.linalg.norm(estimate_normals(wrong), axis=1)[[3, 7]] == pytest.approx(1)


def test_normals_need_neighbours():
    with pytest.raises(ValueError, match="neighbours is 2"):
        estimate_normals(np.eye(3), 2)


def test_spread_goes_from_the_lowest_up():
    points = np.array([[0, y, 0] for y in (0.5, -0.5, 0.1, -0.9)], np.float32)
    observed = SurfaceBatch(1, BINS, near=0, spread=6).replay([[END, 0, 0, 0]], points)
    assert observed.points[0].tolist() == [3, 1, 2, 0, -1, -1]
    assert SurfaceBatch(1, BINS, near=0, spread=2).replay([[END, 0, 0, 0]], points).points[0].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([[LEFT, 1, 1, 1]], "group 0: a group of another kind"),
        ([[BOM, 1, 1, 1], [THIRD, 1, 1, 2]], "group 1: a group of another kind"),
        ([*FIRST, [SECOND, 1, 1, 1]], "group 3: a group of another kind"),
        ([[BOM, 1, 1, BINS]], "group 0: the vertex is outside the grid"),
        ([[BOM, -1, 1, 1]], "group 0: the vertex is outside the grid"),
        ([[7, 1, 1, 1]], "group 0: there is no kind 7"),
    ],
)
def test_wrong_groups_are_named(groups, reason):
    with pytest.raises(ValueError, match=reason):
        SurfaceBatch(1, BINS).replay(groups)


def test_wrong_sizes_are_named():
    for options in ({"batch_size": 0}, {"near": -1}, {"spread": -1}, {"cover": -0.1}, {"cover": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(options))):
            SurfaceBatch(**{"batch_size": 1, "discrete_bins": BINS, **options})
    surfaces = SurfaceBatch(2, BINS)
    with pytest.raises(ValueError, match="1 groups for 2 surfaces"):
        surfaces.commit([FIRST[0]])
    with pytest.raises(ValueError, match="surface 2 of 2"):
        surfaces.begin(2)
    with pytest.raises(ValueError, match="groups have shape"):
        surfaces.commit([[0, 1, 2]])


# ---- how well a group would fit


def with_costs(count=800, bins=BINS):
    """The first face of a flat square lies on its points; (surfaces, groups that go on)."""
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (count, 3)).astype(np.float32)
    points[:, 1] = 2 / bins * 0.5  # the centres of a layer of cells
    y = bins // 2
    surfaces = SurfaceBatch(1, bins, cover=0.03)
    surfaces.begin(0, points, with_cost=True)
    for group in ([BOM, 4, y, 27], [SECOND, 4, y, 4], [THIRD, 27, y, 4]):
        surfaces.commit([group])
    return surfaces, y


def test_a_face_along_the_points_fits_better_than_one_that_leaves_them():
    surfaces, y = with_costs()
    on, off, over, *_ = surfaces.placement_costs([[[LEFT, 27, y, 27], [LEFT, 27, y + 8, 27], [LEFT, 10, y, 4]]])[0]
    assert on < over < off
    assert on < 0


def test_a_face_through_another_or_third_at_an_edge_fits_worse():
    wall = [[BOM, 10, 16, 10], [SECOND, 20, 16, 10], [THIRD, 15, 26, 10]]  # in the plane z = 10
    apart = [[BOM, 10, 2, 28], [SECOND, 20, 2, 28], [THIRD, 15, 2, 30]]
    x, z = np.meshgrid(np.arange(8, 22, 0.25), np.arange(2, 27, 0.25))
    points = np.stack([x, np.full_like(x, 19), z], axis=-1).reshape(-1, 3)  # all about the edge at z = 14 ...
    points = points[np.abs(points[:, 2] - 10) > 1.5]  # ... but what the wall would cover
    points = ((points + 0.5) / BINS * 2 - 1).astype(np.float32)
    surfaces = SurfaceBatch(1, BINS, cover=0.03)

    def costs(groups, candidates):
        surfaces.begin(0, points, with_cost=True)
        for group in groups:
            surfaces.commit([group])
        return surfaces.placement_costs([candidates])[0, :-1]

    edge = [[BOM, 14, 19, 14], [SECOND, 16, 19, 14]]
    before_touching_through = [[THIRD, 15, 19, 18], [THIRD, 15, 19, 10], [THIRD, 15, 19, 6]]
    more = costs(wall + edge, before_touching_through) - costs(apart + edge, before_touching_through)
    assert more[:2] == pytest.approx([0, 0], abs=1e-3)
    assert more[2] > 5
    # An edge that has two faces, and one that has one.
    shared = [[BOM, 14, 19, 14], [SECOND, 16, 19, 14], [THIRD, 15, 19, 18]]
    third = costs([*shared, *edge, [THIRD, 15, 21, 14], *edge], before_touching_through[-1:])
    second = costs([*shared, *apart, *edge], before_touching_through[-1:])
    assert third - second > 5


def test_an_end_fits_once_all_is_covered():
    surfaces, y = with_costs()
    early = surfaces.placement_costs([[[END, 0, 0, 0]]])[0]
    surfaces.commit([[LEFT, 27, y, 27]])
    late = surfaces.placement_costs([[[END, 0, 0, 0]]])[0]
    assert early[0] > 3
    assert late[0] < early[0]
    assert np.isinf([early[1], late[1]]).all()  # it is a candidate
    unsampled = [surfaces.placement_costs([[[LEFT, 4, y, 27]]])[0, -1]]
    for _ in range(30):  # nothing new is covered
        surfaces.commit([[LEFT, 27, y, 27]])
        unsampled.append(surfaces.placement_costs([[[LEFT, 4, y, 27]]])[0, -1])
    assert unsampled[-1] < unsampled[0]


def test_surfaces_without_costs():
    surfaces, y = with_costs()
    surfaces.begin(0, np.zeros((5, 3), np.float32))
    assert surfaces.placement_costs([[[BOM, 4, y, 4], [BOM, 0, 0, 0], [-1, 0, 0, 0]]]).tolist() == [
        [0, 0, np.inf, np.inf]
    ]
    with pytest.raises(ValueError, match="3 candidates for 2 surfaces"):
        SurfaceBatch(2, BINS).placement_costs(np.zeros((3, 4), np.int32))


def test_no_unsampled_end_before_enough_is_covered_nor_within_a_first_face():
    surfaces, y = with_costs()
    group = [[[LEFT, 27, y, 27]]]
    assert np.isfinite(surfaces.placement_costs(group)[0, -1])
    assert np.isinf(surfaces.placement_costs(group, end_cover=0.9)[0, -1])
    surfaces.commit([[BOM, 4, y, 4]])
    assert np.isinf(surfaces.placement_costs([[[SECOND, 27, y, 27]]])[0, -1])
