"""What a folder of results remembers: what is there is not made again, unless it would now be another mesh."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.data.mesh import Mesh, load, save
from core.generation.sampling import SamplingConfig
from core.inference.generator import MeshGenerator
from core.inference.inputs import content_number, mixed_seed
from core.inference.options import InferConfig
from core.inference.output import PARTIAL
from core.inference.records import read_records, weights_digest
from core.inference.run import Run
from core.inference.share import Share
from core.model.arae import ArAE
from core.training.weights import build_loaded
from tests.inference.conftest import NO_FACES, clouds, make_generator


@pytest.fixture
def config(folder) -> InferConfig:
    return InferConfig(str(folder), test_num_face=(80,), test_max_seq_length=60, test_batch_size=2)


class Told(list):
    """Lines for the user."""

    def __contains__(self, text: object) -> bool:
        return any(str(text) in line for line in self)


def make(generator: MeshGenerator, config: InferConfig, folder, seed: int = 0, **options) -> tuple[Run, Told]:
    told = Told()
    run = Run(generator, config, folder, seed, tell=told.append, **options)
    run.generate()
    return run, told


def tokens(folder) -> dict[str, list[int]]:
    return {path.name: np.load(path).tolist() for path in sorted(folder.glob("*_tokens.npy"))}


class StopAfter:
    """Stands for a Stop that comes after so many looks."""

    reason, signalled, exit_code = "interrupted", True, 130

    def __init__(self, looks: int):
        self.looks = looks

    def __call__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_what_is_there_is_not_made_again(generator, config, tmp_path):
    first, _ = make(generator, config, tmp_path)
    assert (len(first.output.written), first.skipped) == (5, 0)
    again, told = make(generator, replace(config, test_batch_size=4), tmp_path)
    assert (len(again.output.written), again.skipped, list(told)) == (0, 5, [])
    more, _ = make(generator, replace(config, test_repeat=2), tmp_path)
    assert (len(more.output.written), more.skipped) == (5, 5)
    (tmp_path / "c3_0_80f.ply").unlink()
    lost, _ = make(generator, config, tmp_path)
    assert [record.mesh for record in lost.output.written] == ["c3_0_80f.ply"]
    anew, _ = make(generator, replace(config, overwrite=True), tmp_path)
    assert (len(anew.output.written), anew.skipped) == (5, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: replace(c, sampling=SamplingConfig(top_k=3)), "--top_k 10 (3 now)"),
        (lambda c: replace(c, finish=replace(c.finish, orient=False)), "--orient True (False now)"),
        (lambda c: replace(c, max_faces=2), "--max_faces 0 (2 now)"),
        (lambda c: replace(c, test_max_seq_length=70), "--test_max_seq_length 60 (70 now)"),
    ],
)
def test_other_options_make_it_anew_and_say_so(change, why, generator, config, tmp_path):
    make(generator, config, tmp_path)
    run, told = make(generator, change(config), tmp_path)
    assert (len(run.output.written), run.skipped) == (5, 0)
    assert sum(f"is generated again: the existing one was made with {why}" in line for line in told) == 5


def test_other_weights_seeds_and_inputs_make_it_anew(generator, config, folder, tmp_path):
    make(generator, config, tmp_path)
    _, told = make(generator, config, tmp_path, seed=1)
    assert "--seed 0 (1 now)" in told
    other = make_generator()
    with torch.no_grad():
        other.model.mesh_decoder.lm_head.weight.mul_(1.1)
    other = MeshGenerator(other.model, other.tokenizer, other.device)
    assert other.weights_digest != generator.weights_digest
    assert weights_digest(generator.model.bfloat16()) == make_generator().weights_digest  # whatever they are held in
    generator.model.float()
    _, told = make(other, config, tmp_path, seed=1)
    assert "made with weights_digest" in told
    save(folder / "c2.ply", Mesh(clouds(6)[5], NO_FACES))
    run, told = make(other, config, tmp_path, seed=1)
    assert [record.name for record in run.output.written] == ["c2"]
    assert "c2_0_80f is generated again: the existing one was made with another content of the input" in told


@pytest.mark.parametrize("keep", ["all", "best"])
def test_an_interrupted_run_goes_on_to_the_same_meshes(keep, generator, config, tmp_path):
    config = replace(config, test_repeat=2, keep=keep, finish=replace(config.finish, report_holes=True))
    make(generator, config, tmp_path / "whole")
    partial = 0
    for looks in (*range(3, 12), 10**6):
        run, told = make(generator, config, tmp_path / "parts", stop=StopAfter(looks))
        left = [record for record in run.output.written if record.partial]
        partial += len(left)
        assert len(list((tmp_path / "parts").glob(f"*{PARTIAL}_tokens.npy"))) >= len(left)
        for record in left:
            assert record.mesh is None or PARTIAL in record.mesh
            assert record.ending == "stopped" or keep == "best"
    assert partial > 2
    assert not list((tmp_path / "parts").glob(f"*{PARTIAL}*"))
    assert "run again to resume it" not in told  # of the last run
    assert tokens(tmp_path / "parts") == tokens(tmp_path / "whole")
    for path in (tmp_path / "whole").glob("*.ply"):
        np.testing.assert_array_equal(load(path).vertices, load(tmp_path / "parts" / path.name).vertices)
    newest = {record.key: record for record in read_records(tmp_path / "parts")}
    assert len(newest) == 10
    assert not any(record.partial for record in newest.values())


def test_partial_tokens_that_are_damaged_begin_anew(generator, config, tmp_path):
    make(generator, config, tmp_path / "whole")
    looks = iter(range(1, 40))
    while not (found := list(tmp_path.glob(f"*{PARTIAL}_tokens.npy"))):
        make(generator, replace(config, overwrite=True), tmp_path, stop=StopAfter(next(looks)))
    damaged = found[0]
    damaged.write_bytes(b"")
    _, told = make(generator, config, tmp_path)
    assert f"{damaged.name.replace(f'{PARTIAL}_tokens.npy', '')} starts again" in told
    assert tokens(tmp_path) == tokens(tmp_path / "whole")


def test_a_mesh_follows_from_its_input_and_seed_alone(generator, config, folder, tmp_path):
    make(generator, config, tmp_path / "a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for old, new in (("c4", "first"), ("c1", "second")):  # another order, other names, other neighbours
        (elsewhere / f"{new}.ply").write_bytes((folder / f"{old}.ply").read_bytes())
    make(generator, replace(config, test_path=str(elsewhere), test_batch_size=1), tmp_path / "b")
    a, b = tokens(tmp_path / "a"), tokens(tmp_path / "b")
    assert b["first_0_80f_tokens.npy"] == a["c4_0_80f_tokens.npy"]
    assert b["second_0_80f_tokens.npy"] == a["c1_0_80f_tokens.npy"]


def test_seeds_differ_by_input_and_follow_each_other_by_repetition(generator, config, tmp_path):
    numbers = [content_number(points) for points in clouds(50)]
    seeds = [mixed_seed(seed, number) for seed in range(20) for number in numbers]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mixed_seed(3, 7) == mixed_seed(3, 7)
    # Repetition i of seed s is drawn as repetition 0 of seed s + i.
    run = Run(generator, replace(config, test_repeat=2), tmp_path, 5, tell=lambda line: None)
    of_repeat = [run.seed_of(task) for task in run.tasks()][1]
    later = Run(generator, config, tmp_path, 6, tell=lambda line: None)
    assert of_repeat == mixed_seed(6, next(run.tasks()).source.content)
    assert later.seed == 6


def test_lengths_do_not_coincide_under_one_uniform_condition(generator, config, tmp_path):
    """Inputs of one run do not draw the same numbers, even where the model takes no notice of the condition."""
    blind = make_generator()
    with torch.no_grad():
        blind.model.norm_cond.weight.zero_()
    make(blind, config, tmp_path)
    assert len(Counter(map(tuple, tokens(tmp_path).values()))) == 5


def test_shares_split_the_inputs_and_agree_on_names(generator, config, folder, tmp_path):
    (folder / "sub").mkdir()
    (folder / "sub" / "c1.ply").write_bytes((folder / "c0.ply").read_bytes())
    runs = [make(generator, config, tmp_path, share=Share(rank, 3))[0] for rank in range(3)]
    assert [len(run.files) for run in runs] == [2, 2, 2]
    assert len(read_records(tmp_path)) == len({record.key for record in read_records(tmp_path)}) == 6
    alone, _ = make(generator, config, tmp_path)
    assert alone.skipped == 6


@pytest.mark.parametrize("place", ["out", "."])
def test_results_are_no_inputs(place, generator, config, folder):
    make(generator, config, folder / place, stop=StopAfter(12))
    run, _ = make(generator, replace(config, test_num_face=(80, -1)), folder / place)
    again, _ = make(generator, config, folder / place)
    assert (len(run.all_files), len(again.all_files), again.skipped) == (5, 5, 5)
    only_results = replace(config, test_path=str(folder / place / "c0_0_-1f.ply"))
    with pytest.raises(ValueError, match="none is an input"):
        Run(generator, only_results, folder / place, 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loads_without_a_full_copy_and_generates(dtype, generator, config, tmp_path):
    save_file(generator.model.state_dict(), tmp_path / "weights.safetensors")
    config_of, size = generator.model.config, generator.tokenizer.vocab_size
    model = build_loaded(lambda: ArAE(config_of, size), tmp_path / "weights.safetensors", dtype)
    half = MeshGenerator(model, generator.tokenizer, generator.device, dtype=dtype)
    run, _ = make(half, config, tmp_path)
    assert len(run.output.written) == 5
    assert next(half.model.parameters()).dtype == dtype


def test_the_caller_hears_of_faces_and_results(generator, config, tmp_path):
    faces: Counter[str] = Counter()
    results = {}
    run = Run(generator, config, tmp_path, 0, tell=lambda line: None)
    run.generate(
        lambda job, triangles: faces.update({job.key.stem: len(triangles)}),
        lambda task, result: results.update({task.stem: result}),
    )
    assert faces == {stem: len(generator.tokenizer.decode(result.ids)[1]) for stem, result in results.items()}
    assert len(results) == 5
