"""The engine: slots shared over time, budgets, stopping, resuming, chunks; what ends in one slot changes no other."""

import numpy as np
import pytest
import torch

from core import kernels
from core.generation import Engine, Request, token_stepper
from core.generation.grammar import trace, whole_faces
from core.model.decoder import DecoderConfig, MeshDecoder
from core.tokens import EOS
from tests.generation.small import BUDGET, DIM, GREEDY, SAMPLE, TOKENIZERS, as_lists, make, requests, run


@pytest.mark.parametrize("masked", [False, True], ids=["runs", "masked"])
@pytest.mark.parametrize("config", [GREEDY, SAMPLE], ids=["greedy", "sample"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_freed_slot_serves_the_next_request_and_disturbs_nobody(name, config, masked):
    made_of, asked = make(name), requests(16)
    asked[3] = Request(asked[3].condition, 3, 30, key=3)  # one that is cut early
    singly = as_lists(run(made_of, asked, config))
    assert config == GREEDY or len({len(ids) for ids, _ in singly.values()}) > 1
    assert as_lists(run(made_of, asked, config, slots=5, masked=masked)) == singly
    assert as_lists(run(made_of, asked, config, slots=16, masked=masked)) == singly


def test_requests_are_taken_when_a_slot_is_free():
    taken, made_of = [], make()
    engine = Engine(*made_of, SAMPLE, slots=2)
    results = engine.run(taken.append(request.key) or request for request in requests(6))
    next(results)
    assert len(taken) <= 4  # both slots may have ended at the same look
    assert len(list(results)) == 5
    assert taken == list(range(6))


@pytest.mark.parametrize("masked", [False, True], ids=["runs", "masked"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_face_budget_closes_the_mesh(name, masked):
    made_of = make(name, ends=False)
    grammar = made_of[1].grammar
    for max_faces in (1, 2, 5):
        made = run(made_of, requests(6, 110, max_faces=max_faces), slots=3, masked=masked)
        for each in made.values():
            assert each.finish_reason in ("faces", "eos")
            assert grammar.validate(np.append(each.ids, EOS)) is None
            _, open_splits, faces = trace(grammar, each.ids)
            assert open_splits == 0
            assert faces <= max_faces
            assert len(made_of[1].decode(each.ids)[1]) == faces
            assert (each.finish_reason == "faces") == (faces == max_faces)
            assert not each.finished or each.finish_reason == "eos"


def test_one_face_budget_does_not_touch_the_neighbours():
    made_of, asked = make(ends=False), requests(4)
    free = as_lists(run(made_of, asked))
    asked[1] = Request(asked[1].condition, 1, BUDGET, max_faces=3, key=1)
    mixed = as_lists(run(made_of, asked, slots=4))
    assert mixed.pop(1)[1] == "faces"
    assert mixed == {key: free[key] for key in mixed}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_cut_keeps_whole_faces(name):
    made_of = make(name, ends=False)
    for budget in range(12, 30):
        (made,) = run(made_of, requests(1, budget)).values()
        if made.finish_reason == "tokens":
            faces = trace(made_of[1].grammar, made.ids)[2]
            assert len(made_of[1].decode(made.ids)[1]) == faces
            assert len(made.ids) > budget - 10
            assert not made.finished


def test_whole_faces_by_hand():
    _, tokenizer = make()
    left, bom, value = 3, 5, 6
    first = [bom, *[value] * 9]
    for tail, kept in (([], 0), ([left], 0), ([left, value, value], 0), ([left, *[value] * 3], 4), ([bom], 0)):
        assert whole_faces(np.array(first + tail), tokenizer.grammar).tolist() == (first + tail)[: 10 + kept]
    assert whole_faces(np.array(first[:-1]), tokenizer.grammar).tolist() == []
    naive = make("naive")[1]
    assert len(whole_faces(np.full(26, 7), naive.grammar)) == 18


@pytest.mark.parametrize("config", [GREEDY, SAMPLE], ids=["greedy", "sample"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_resuming_equals_going_on(name, config):
    made_of, asked = make(name, ends=False), requests(3)
    whole = run(made_of, asked, config, slots=3)
    for cut in (1, 10, 17, 40):
        again = [
            Request(each.condition, each.seed, each.max_new_tokens, whole[each.key].ids[:cut], key=each.key)
            for each in asked
        ]
        assert as_lists(run(made_of, again, config, slots=2)) == as_lists(whole)


def test_a_prefix_counts_towards_the_face_budget():
    made_of, asked = make(ends=False), requests(1)
    ids, grammar = run(made_of, asked)[0].ids, made_of[1].grammar
    cut = next(n for n in range(len(ids)) if trace(grammar, ids[:n])[2] == 3)
    for faces, expected in ((5, 5), (3, 3), (1, 3)):  # a prefix with more faces than allowed is closed where it stands
        again = Request(asked[0].condition, 0, BUDGET, ids[:cut], max_faces=faces, key=0)
        made = run(made_of, [again])[0]
        assert made.ids[:cut].tolist() == ids[:cut].tolist()
        assert (trace(grammar, made.ids)[2], made.finish_reason) == (expected, "faces")


def test_prefill_in_chunks_equals_at_once(monkeypatch):
    made_of, asked = make(), requests(2)
    whole = as_lists(run(made_of, asked))
    prefixed = [Request(r.condition, r.seed, BUDGET, np.array(whole[r.key][0][:30]), key=r.key) for r in asked]
    for chunk in (1, 3, 7):
        monkeypatch.setattr(token_stepper, "PREFILL_CHUNK", chunk)
        assert as_lists(run(made_of, asked)) == whole
        assert as_lists(run(made_of, prefixed)) == whole


def test_stopping_keeps_whole_faces_and_takes_no_more():
    made_of, taken, looks = make(ends=False), [], []

    def should_stop() -> bool:
        looks.append(None)
        return len(looks) > 5

    asked = (taken.append(request.key) or request for request in requests(9))
    made = {r.key: each for r, each in Engine(*made_of, SAMPLE, slots=3).run(asked, should_stop=should_stop)}
    assert sorted(taken) == sorted(made) == [0, 1, 2]
    for key, each in made.items():
        assert each.finish_reason == "stopped"
        assert 10 <= len(each.ids) <= 5 * token_stepper.EOS_POLL_INTERVAL["cpu"]
        assert whole_faces(each.ids, made_of[1].grammar).tolist() == each.ids.tolist()
        uncut = run(made_of, [requests(9)[key]])[key].ids
        assert uncut[: len(each.ids)].tolist() == each.ids.tolist()


def test_ids_stream_as_they_come(monkeypatch):
    monkeypatch.setattr("core.generation.engine.STREAM_INTERVAL_S", 0.0)
    streamed: dict[int, list[list[int]]] = {0: [], 1: [], 2: []}
    made = run(make(), requests(3), slots=2, on_ids=lambda request, ids: streamed[request.key].append(ids.tolist()))
    for key, each in made.items():
        assert streamed[key][-1] == each.ids.tolist()
        assert all(
            len(a) <= len(b) and b[: len(a)] == a for a, b in zip(streamed[key], streamed[key][1:-1], strict=False)
        )
    assert len(streamed[0]) > 2


def test_an_engine_runs_again_and_for_larger_requests():
    made_of = make()
    engine = Engine(*made_of, SAMPLE, slots=2)
    small, large = requests(2, 40), requests(3, 120)
    fresh = as_lists(run(made_of, large))
    assert len(list(engine.run(small))) == 2
    assert as_lists({r.key: made for r, made in engine.run(large)}) == fresh
    mixed = {r.key: made for r, made in engine.run([small[0], *large[1:]])}  # grows while slot 0 runs
    assert as_lists(mixed) == as_lists(run(made_of, [small[0], *large[1:]]))


def test_a_run_left_early_frees_its_slots():
    made_of = make()
    engine = Engine(*made_of, SAMPLE, slots=2)
    results = engine.run(requests(5))
    next(results)
    results.close()
    assert as_lists({r.key: made for r, made in engine.run(requests(5))}) == as_lists(run(made_of, requests(5)))


def test_without_a_condition():
    tokenizer = make()[1]
    torch.manual_seed(0)
    decoder = MeshDecoder(
        DecoderConfig(max_seq_length=64, hidden_dim=DIM, num_layers=2, num_heads=4), tokenizer.vocab_size, 0
    ).eval()
    asked = [Request(torch.zeros(0, DIM), seed, 50, key=seed) for seed in range(3)]
    made = run((decoder, tokenizer), asked, slots=3)
    assert as_lists(made) == as_lists(run((decoder, tokenizer), asked))


def test_taken_weights_generate_the_same():
    made_of, asked = make(), requests(4)
    before = as_lists(run(made_of, asked, slots=2))
    Engine(*made_of, SAMPLE, slots=2, take_weights=True)
    assert not isinstance(made_of[0].model.layers[0].fc1, torch.nn.Linear)
    assert as_lists(run(made_of, asked, slots=2)) == before


def test_half_precision_runs():
    decoder, tokenizer = make()
    asked = [Request(r.condition.bfloat16(), r.seed, BUDGET, key=r.key) for r in requests(4)]
    made = run((decoder.bfloat16(), tokenizer), asked, slots=4)
    for each in made.values():
        wrong = tokenizer.grammar.validate(np.append(each.ids, EOS))
        assert wrong is None or each.finish_reason == "tokens"


def test_wrong_requests_are_named():
    made_of, asked = make(), requests(1)[0]
    engine = Engine(*made_of, SAMPLE)
    with pytest.raises(ValueError, match="budget of 1000 tokens"):
        engine.check(Request(asked.condition, 0, 1000))
    with pytest.raises(ValueError, match="has ended already"):
        engine.check(Request(asked.condition, 0, 50, np.array([5, *[6] * 9, EOS])))
    with pytest.raises(ValueError, match="-1 faces"):
        Request(asked.condition, 0, 50, max_faces=-1)
    with pytest.raises(ValueError, match="0 sequences side by side"):
        Engine(*made_of, SAMPLE, slots=0)


@pytest.mark.parametrize("slots", [1, 6])
def test_a_rounded_cache_changes_next_to_nothing(slots):
    made_of, asked = make(ends=False), requests(6)
    exact, rounded = run(made_of, asked, GREEDY, slots), {}
    for request, made in Engine(*made_of, GREEDY, slots, cache_dtype=torch.float16).run(asked):
        rounded[request.key] = made
    assert sum(np.array_equal(exact[key].ids, rounded[key].ids) for key in exact) >= 4


def test_native_kernels_equal_torchs(monkeypatch):
    if kernels.load() is None:
        pytest.skip("no C++ compiler here")
    made_of, asked = make(ends=False), requests(5)
    with_kernels = as_lists(run(made_of, asked, slots=5))
    monkeypatch.setattr(kernels, "load", lambda: None)
    assert as_lists(run(made_of, asked, slots=5)) == with_kernels


def test_a_head_that_no_kernel_takes_goes_through_torch():
    assert kernels.attention(torch.float32, torch.float32, 24) is None
    assert kernels.attention(torch.float16, torch.float64, 64) is None
