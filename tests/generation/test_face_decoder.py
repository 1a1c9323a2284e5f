"""The face decoder: exact likelihoods, and generation through the engine that follows the same distribution."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.config import ARAE_NANO_FACE, PRESETS
from core.data.batch import collate
from core.data.dataset import MeshDataset
from core.data.sources import ShapesSource
from core.generation import Engine, Request
from core.generation.sampling import SamplingConfig
from core.groups import StepConfig, batch_steps, join_steps, mesh_steps, to_ids
from core.model.arae import ArAE
from core.model.decoder import DecoderConfig
from core.model.face_decoder import FaceDecoder, faces_before
from core.model.face_input import count_features
from core.tokens import BOS, EOS, Tokenizer, TokenizerConfig
from meto.surface import BOM, END, LEFT, RIGHT, SECOND, THIRD, Observation
from tests.generation.small import masked_engine

BINS, DIM, COND, BUDGET = 16, 64, 5, 120
GREEDY, SAMPLE = SamplingConfig("greedy"), SamplingConfig("sample")
TOKENIZER = Tokenizer(TokenizerConfig(discrete_bins=BINS))


def make(bins=BINS, ends=True, counted=True, **steps):
    """A random decoder whose choices vary."""
    torch.manual_seed(0)
    sizes = DecoderConfig("face", max_seq_length=400, hidden_dim=DIM, num_layers=2, num_heads=4)
    decoder = FaceDecoder(
        sizes, StepConfig(**{"near_points": 3, "spread_points": 3, "near_open": 3, **steps}), bins, counted
    ).eval()
    with torch.no_grad():
        if counted:
            torch.nn.init.normal_(decoder.input.counts.weight)
        if decoder.steps.near_open:
            for linear in (decoder.input.opens, decoder.head.open_query):
                torch.nn.init.normal_(linear.weight, std=0.3)
            decoder.head.open_query.bias[-1] = 0
        for part in (decoder.head.ops, *decoder.head.logits):
            part.weight.mul_(4)
        decoder.head.ops.bias[3] = -1.0 if ends else -100.0
    return decoder


def cloud(seed=0, count=60):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (count, 3)).astype(np.float32)


def requests(count, budget=BUDGET, points=True, **options):
    rows = torch.randn(count, COND, DIM, generator=torch.Generator().manual_seed(7))
    clouds = [cloud(seed, 40 + 10 * seed) if points else None for seed in range(count)]
    return [
        Request(row, k, budget, points=clouds[k], num_faces=(8, -1, 30)[k % 3], key=k, **options)
        for k, row in enumerate(rows)
    ]


def run(decoder, asked, config=SAMPLE, slots=1, masked=False):
    engine = (masked_engine if masked else Engine)(decoder, TOKENIZER, config, slots)
    return {request.key: (made.ids.tolist(), made.finish_reason) for request, made in engine.run(iter(asked))}


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize(
    "before",
    [
        [],
        [[BOM, 0, 0, 0]],
        [[BOM, 0, 0, 0], [SECOND, 2, 0, 0]],
        [[BOM, 0, 0, 0], [SECOND, 2, 0, 0], [THIRD, 0, 2, 0]],
        [[BOM, 0, 0, 0], [SECOND, 2, 0, 0], [THIRD, 0, 2, 0], [LEFT, 2, 2, 1], [RIGHT, 0, 0, 1]],
    ],
)
def test_the_probabilities_of_all_groups_add_up_to_one(before, points):
    """By brute force over a grid of 3: every kind and every vertex that may come next."""
    bins = 3
    decoder = make(bins).double()
    kinds = {0: [BOM], 1: [SECOND], 2: [THIRD]}.get(len(before), [LEFT, RIGHT, BOM, END])
    vertices = list(itertools.product(range(bins), repeat=3))
    groups = [[kind, *v] for kind in kinds for v in (vertices if kind != END else [(0, 0, 0)])]
    given = cloud(count=9) if points else None
    condition = torch.randn(1, COND, DIM, generator=torch.Generator().manual_seed(1)).double()
    total = 0.0
    for group in groups:
        total += np.exp(-_nats_of_last(decoder, condition, [*before, group], given))
    assert total == pytest.approx(1, abs=1e-5)


def _nats_of_last(decoder, condition, groups, points):
    """Of the last group, given those before."""
    # Streams end with END; of an unfinished one that end is not asked about, so its kind does not matter.
    whole = groups if groups[-1][0] == END else [*groups, [END, 0, 0, 0]]
    made = _steps(whole, points, decoder)
    cloud_of = None if points is None else torch.from_numpy(points)[None].double()
    with torch.no_grad():
        loss = decoder(condition, made, cloud_of)
    turns = int((made.observed.phase[: len(groups)] == 1).sum())
    kind = float(loss.kind[turns - 1]) if made.observed.phase[len(groups) - 1] == 1 else 0.0
    return kind + (0.0 if groups[-1][0] == END else float(loss.vertex[len(groups) - 1]))


def _steps(groups, points, decoder):
    groups = np.array(groups, np.int32)
    written = groups[:-1]
    ids = to_ids(written)
    tail = {BOM: 2, SECOND: 1}.get(int(written[-1, 0]) if len(written) else END, 0)
    # A first face that is not whole yet is completed for the tokenizer and cut off again.
    fill = [[SECOND, 0, 0, 0], [THIRD, 0, 0, 0]][2 - tail :] if tail else []
    ids = to_ids(np.array([*written, *fill], np.int32).reshape(-1, 4)) if len(written) else ids
    made = mesh_steps(ids, points, decoder.steps, decoder.bins)
    count = len(groups)
    cut = join_steps([made])
    object.__setattr__(cut, "groups", cut.groups[:count])
    object.__setattr__(cut, "observed", Observation(*(part[:count] for part in cut.observed)))
    object.__setattr__(cut, "learned", None)
    cut.groups[-1] = torch.tensor([END, 0, 0, 0])
    object.__setattr__(cut, "lengths", torch.tensor([count]))
    return cut


@pytest.mark.parametrize("points", [True, False])
def test_generation_follows_the_likelihood(points):
    """What greedy generation writes is, group by group, the likeliest by one pass without a cache."""
    decoder = make(ends=False)
    for request in requests(3, points=points):
        (ids, _ending), *_ = run(decoder, [request], GREEDY).values()
        row = torch.tensor([[BOS, *ids, EOS]])
        given = None if request.points is None else torch.from_numpy(request.points)[None]
        steps = batch_steps(row, given, decoder.steps, BINS)
        with torch.no_grad():
            wished = torch.tensor([request.num_faces])
            predicted = decoder(request.condition[None], steps, given, predict=True, num_faces=wished).predicted
        assert torch.equal(predicted[:-1], steps.groups[:-1])  # the end is the budget's, not the decoder's


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("points", [True, False])
def test_a_batch_equals_its_singles(points, masked):
    decoder, asked = make(), requests(7, points=points)
    singles = {}
    for request in asked:
        singles |= run(decoder, [request])
    assert run(decoder, asked, slots=3, masked=masked) == singles
    assert len({tuple(ids) for ids, _ in singles.values()}) == len(asked)


@pytest.mark.parametrize("config", [GREEDY, SAMPLE])
def test_every_mesh_is_well_formed(config):
    decoder = make()
    for ids, ending in run(decoder, requests(12), config, slots=5).values():
        assert TOKENIZER.grammar.validate([*ids, EOS]) is None
        assert ending in ("eos", "tokens")
        assert len(ids) <= BUDGET


@pytest.mark.parametrize("candidates", [1, 5])
def test_resuming_equals_going_on(candidates):
    decoder, config, resumptions = make(ends=False), SamplingConfig("sample", candidates=candidates), 0
    for request in requests(4):
        ((ids, _),) = run(decoder, [request], config).values()
        for cut in (10, 14, 30):
            if TOKENIZER.grammar.validate([*ids[:cut], EOS]) is None:
                resumptions += 1
                resumed = replace(request, prefix=np.array(ids[:cut]))
                assert next(iter(run(decoder, [resumed], config).values()))[0] == ids
    assert resumptions >= 4


def test_prefixes_that_are_not_whole_are_refused():
    decoder = make(ends=False)
    request = requests(1)[0]
    ((ids, _),) = run(decoder, [request]).values()
    engine = Engine(decoder, TOKENIZER, SAMPLE)
    with pytest.raises(ValueError, match="the prefix of 2 ids does not end with a whole vertex"):
        engine.check(Request(request.condition, 0, BUDGET, np.array(ids[:2])))
    with pytest.raises(ValueError, match="a budget of 500 tokens: this decoder writes 1 to 401"):
        engine.check(Request(request.condition, 0, 500))


def test_face_budgets_close_the_mesh():
    decoder = make(ends=False)
    for ids, ending in run(decoder, requests(5, max_faces=4), slots=2).values():
        assert ending == "faces"
        assert len(TOKENIZER.decode(np.array(ids))[1]) == 4


def test_refused_faces():
    decoder = make(bins=BINS, ends=False)
    with torch.no_grad():
        decoder.head.copy[-1].bias.copy_(torch.tensor([-9.0, 3.0, 3.0]))  # copies mostly, and so mostly degenerate
    plain, refusing = (
        run(decoder, requests(6), SamplingConfig(refuse_faces=refuse), slots=3) for refuse in (False, True)
    )

    def spoiled(ids):
        vertices, faces = TOKENIZER.decode(np.array(ids))
        corners = [frozenset(map(tuple, vertices[face].tolist())) for face in faces]
        return sum(len(c) < 3 for c in corners) + len(corners) - len(set(corners))

    assert sum(spoiled(ids) for ids, _ in plain.values()) > 0
    assert sum(spoiled(ids) for ids, _ in refusing.values()) == 0


@pytest.fixture(scope="module")
def nano():
    tokenizer = Tokenizer(ARAE_NANO_FACE.tokenizer)
    torch.manual_seed(0)
    model = ArAE(ARAE_NANO_FACE.model, tokenizer.vocab_size)
    dataset = MeshDataset(
        ShapesSource(0, 30, progress=False),
        tokenizer,
        ARAE_NANO_FACE.data,
        train=False,
        point_num=256,
        max_seq_length=512,
        steps=ARAE_NANO_FACE.model.steps,
    )
    return model, collate([dataset[k] for k in range(4)])


def test_the_loader_makes_the_steps_that_the_model_would(nano):
    model, batch = nano
    model.eval()
    with torch.no_grad():
        given = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps)
        made = model(batch.ids, batch.num_faces, points=batch.points)
    assert given.loss == made.loss
    assert len(given.labels) == int((batch.ids > 0).sum()) - len(batch)


def test_a_batch_is_as_likely_as_its_meshes(nano):
    model, batch = nano
    model.eval()
    with torch.no_grad():
        whole = model(batch.ids, batch.num_faces, points=batch.points).groups.nats
        parts = 0.0
        for k, row in enumerate(batch.ids):
            ids = row[None, : int((row > 0).sum())]
            parts += float(model(ids, batch.num_faces[k : k + 1], batch.points[k : k + 1]).groups.nats)
    assert whole == pytest.approx(parts, rel=1e-5)


def test_every_parameter_learns_and_checkpointing_changes_nothing(nano):
    model, batch = nano
    model.train()
    gradients = []
    for model.mesh_decoder.checkpointing in (False, True):
        torch.manual_seed(3)
        model.zero_grad()
        model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert [name for name, grad in gradients[0].items() if grad is None] == []
    for name, grad in gradients[0].items():
        torch.testing.assert_close(grad, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_without_points_the_latent_tells_them(nano):
    model, batch = nano
    model.eval()
    with torch.no_grad():
        latent = model.encode(batch.points)
        reconstructed = model.decoded_points(latent)
        assert reconstructed.shape == batch.points.shape
        from_latent = model(batch.ids, batch.num_faces, latents=latent)
        from_reconstructed = model(batch.ids, batch.num_faces, points=reconstructed, latents=latent)
    assert from_latent.loss_ce == from_reconstructed.loss_ce


def test_full_size_is_built_without_memory():
    config = PRESETS["ArAE-face"][1]
    with torch.device("meta"):
        model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size)
    assert sum(p.numel() for p in model.parameters()) == 735_421_762
    assert isinstance(model.mesh_decoder, FaceDecoder)


def test_wrong_vertices_are_not_learned_where_they_are_made(nano):
    """Their nats and their gradients are nothing; copies of them count, and so does all else."""
    model, batch = nano
    ids = batch.ids[0, 1 : int((batch.ids[0] > 0).sum()) - 1].numpy()
    sizes, bins = model.config.steps, model.mesh_decoder.bins
    plain = mesh_steps(ids, batch.points[0].numpy(), sizes, bins)
    vertices = plain.groups[:-1, 1:]
    wrong = vertices[[2, 5]]
    damaged = mesh_steps(ids, batch.points[0].numpy(), sizes, bins, wrong)
    first = [int((vertices == v).all(1).argmax()) for v in wrong]
    assert np.flatnonzero(~damaged.learned).tolist() == sorted(set(first))
    model.eval()
    with torch.no_grad():
        of_plain, of_damaged = (
            model.mesh_decoder(
                model.condition(model.encode(batch.points[:1]), batch.num_faces[:1]),
                join_steps([steps]),
                batch.points[:1],
            )
            for steps in (plain, damaged)
        )
    kept = torch.from_numpy(damaged.learned[:-1])
    assert torch.equal(of_plain.vertex[kept], of_damaged.vertex[kept])
    assert (of_damaged.vertex[~kept] == 0).all()
    assert (of_plain.vertex[~kept] > 0).all()
    assert torch.equal(of_plain.kind, of_damaged.kind)


def test_damage_is_for_training_meshes_only():
    def dataset(train, damaged):
        config = ARAE_NANO_FACE.data
        config = replace(config, augment=replace(config.augment, use_damage_aug=damaged))
        sizes = {"point_num": 64, "max_seq_length": 512, "steps": ARAE_NANO_FACE.model.steps}
        shapes = ShapesSource(0, 40, progress=False)
        return MeshDataset(shapes, Tokenizer(ARAE_NANO_FACE.tokenizer), config, train=train, **sizes)

    def wrong(samples):
        return [int((~samples[(1, k)].steps.learned).sum()) for k in range(len(samples))]

    assert not any(wrong(dataset(True, False)))
    assert not any(wrong(dataset(False, True)))
    counts = np.array(wrong(dataset(True, True)))
    assert 0.25 < (counts > 0).mean() < 0.6  # half of them, but for those that get too long or have nothing chosen
    assert counts.max() > 1


GUIDED = SamplingConfig("sample", candidates=5)


@pytest.mark.parametrize("masked", [False, True])
def test_guided_batches_equal_their_singles(masked):
    decoder, asked = make(), requests(6)
    singles = {}
    for request in asked:
        singles |= run(decoder, [request], GUIDED)
    made = run(decoder, asked, GUIDED, slots=3, masked=masked)
    assert made == singles
    assert made != run(decoder, asked, SAMPLE, slots=3)


def test_guidance_needs_points_and_chance():
    """Greedy decoding has but one candidate, and without points each of several is as good."""
    decoder = make()
    greedy = SamplingConfig("greedy", candidates=5)
    assert run(decoder, requests(3), greedy) == run(decoder, requests(3), GREEDY)
    blind = run(decoder, requests(40, points=False), GUIDED, slots=8)
    plain = run(decoder, requests(40, points=False), SAMPLE, slots=8)
    lengths = [np.mean([len(ids) for ids, _ in made.values()]) for made in (blind, plain)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.4)


def test_guided_meshes_keep_to_their_limits():
    decoder = make()
    config = SamplingConfig("sample", candidates=5, end_cover=1.0)
    for _, ending in run(decoder, requests(5), config, slots=5).values():
        assert ending == "tokens"  # random faces never cover all points
    for ids, ending in run(decoder, requests(5, max_faces=6), GUIDED, slots=5).values():
        assert ending in ("faces", "eos")
        assert len(TOKENIZER.decode(np.array(ids))[1]) <= 6


def test_guided_faces_lie_nearer_to_the_points():
    """A random decoder makes faces anywhere: of sixteen, those along the points are taken."""
    decoder = make(bins=32, ends=False)
    plane = np.random.default_rng(0).uniform(-0.9, 0.9, (600, 3)).astype(np.float32)
    plane[:, 1] = 0
    tokenizer = Tokenizer(TokenizerConfig(discrete_bins=32))
    away = []
    for config in (SAMPLE, SamplingConfig("sample", candidates=16)):
        rows = torch.randn(8, COND, DIM, generator=torch.Generator().manual_seed(7))
        asked = (Request(row, k, BUDGET, points=plane, key=k) for k, row in enumerate(rows))
        vertices = [tokenizer.decode(made.ids)[0] for _, made in Engine(decoder, tokenizer, config, 8).run(asked)]
        away.append(np.abs(np.concatenate(vertices)[:, 1]).mean())
    assert away[1] < 0.6 * away[0]


def test_counts_steer_the_mesh():
    """The same condition and seed with another wish give another mesh; an unknown count is shown as nothing."""
    decoder, request = make(), requests(1)[0]
    meshes = {n: run(decoder, [replace(request, num_faces=n)])[0][0] for n in (-1, 0, 8, 30)}
    assert meshes[-1] == meshes[0]
    assert len({tuple(ids) for ids in meshes.values()}) == 3
    assert run(make(counted=False), [request]) == run(make(counted=False), [replace(request, num_faces=30)])


def test_faces_before_each_step():
    kinds = torch.tensor([BOM, SECOND, THIRD, LEFT, BOM, SECOND, THIRD, END, BOM, SECOND, THIRD, RIGHT, END])
    number = torch.tensor([*range(8), *range(5)])
    assert faces_before(kinds, number).tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 0, 0, 0, 1, 2]


def test_count_features_by_hand():
    wished, written, open_edges = torch.tensor([-1, 10, 10]), torch.tensor([4, 4, 12]), torch.tensor([5, 2, 2])
    features = count_features(wished, written, open_edges)
    assert features[0].tolist() == [0, 0, 0, 0]
    assert features[1].tolist() == pytest.approx([1, np.log(7) / 6, 0.6, 4 / 16])
    assert features[2].tolist() == pytest.approx([1, -np.log(3) / 6, -0.2, -4 / 16])
