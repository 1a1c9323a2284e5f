"""Faces a second of the weights that ship, meshes ended by themselves: part 4 of benchmarks/generate.py, and in gpu.py.

guided: the preset's own options (128 candidates a step, faces that a mesh has refused). plain: the same without
candidates. Conditions and points are those of procedural shapes; only the engine is timed, not the point encoder.
"""

from dataclasses import replace
from typing import Any

import torch

from benchmarks.machine import medians, rates, ratios, timed
from benchmarks.models import SHIPPED, face_count, requests, runner, shipped
from core.config import PRESETS
from core.tokens import Tokenizer

CPU = torch.device("cpu")
BUDGET = 2560  # ids: as many as the preset holds
SINGLES = 4  # meshes made one by one


def faces_per_second(
    rounds: int, slots: int = 16, count: int = 16, budget: int = BUDGET, device: torch.device = CPU
) -> dict[str, Any]:
    """Both ways of sampling, one mesh at a time and `slots` of them side by side, in turns.

    Args:
        rounds: of all four.
        slots: side by side.
        count: meshes made by those; of one at a time SINGLES are made.
        budget: most ids of a mesh.
        device: float32 on the CPU, else bfloat16.
    """
    config, tokenizer = PRESETS[SHIPPED][1], Tokenizer(PRESETS[SHIPPED][1].tokenizer)
    model = shipped(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    asked = requests(model, config, max(count, SINGLES), budget)
    own = config.test.sampling
    runs, measured = {}, {}
    for how, sampling in (("guided", own), ("plain", replace(own, candidates=1))):
        for side_by_side, number in ((1, SINGLES), (slots, count)):
            name = f"shipped_{how}_b{side_by_side}"
            runs[name] = runner(model.mesh_decoder, tokenizer, asked[:number], sampling, side_by_side)
            measured[name] = []
    for _ in range(rounds):
        for name, run in runs.items():
            made, spent = timed(run, device)
            measured[name].append(rates(face_count(tokenizer, made), spent))
    figures: dict[str, Any] = {"shipped_candidates": own.candidates}
    for name, values in measured.items():
        figures |= medians(f"{name}_faces_per_s", values)
    for size in (1, slots):
        guided, plain = (measured[f"shipped_{how}_b{size}"] for how in ("guided", "plain"))
        figures |= ratios(f"shipped_guided_over_plain_b{size}", guided, plain)
    print(f"{SHIPPED}: " + ", ".join(f"{name} {values[-1][0]:,.0f} faces/s" for name, values in measured.items()))
    return figures
