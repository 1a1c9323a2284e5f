"""transformers' own `generate()` on a token decoder's weights, under its grammar: what benchmarks/generate.py beats.

The decoder's shape is that of OPT with its norms after the blocks, so that the weights go into transformers' model as
they are. The grammar is a `prefix_allowed_tokens_fn`, written as one would: look back to the latest op, count the
coordinates since, return the list of ids that may follow. Sequences of a batch have conditions of one length.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from core.generation.sampling import SamplingConfig
from core.model.decoder import MeshDecoder
from core.tokens import BOS, EOS, PAD, Tokenizer

POSITION_OFFSET = 2  # rows that transformers' OPT leaves free in its table of positions


def as_opt(decoder: MeshDecoder):
    """The decoder as transformers' OPTForCausalLM."""
    from transformers import OPTConfig, OPTForCausalLM

    config, (vocabulary, width) = decoder.config, decoder.model.embd.weight.shape
    positions = decoder.model.embed_positions.weight
    model = OPTForCausalLM(
        OPTConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            word_embed_proj_dim=width,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            ffn_dim=config.intermediate_dim or 4 * width,
            max_position_embeddings=len(positions),
            do_layer_norm_before=False,
            activation_function="relu",
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
            tie_word_embeddings=False,
        )
    )
    state = {}
    for name, tensor in decoder.state_dict().items():
        name = name.replace("model.layers", "model.decoder.layers")
        name = name.replace("model.embd.", "model.decoder.embed_tokens.")
        if name == "model.embed_positions.weight":
            name = "model.decoder.embed_positions.weight"
            tensor = torch.cat([tensor.new_zeros(POSITION_OFFSET, width), tensor])
        state[name] = tensor
    model.load_state_dict(state, strict=True)
    return model.eval()


def allowed_ids(tokenizer: Tokenizer) -> Callable[[int, Tensor], list[int]]:
    """The grammar of LR_ABSCO as `generate()` asks for it, for a prompt that is embedded (no ids of its own)."""
    left, right, bom = 3, 4, 5
    coordinates = list(range(6, tokenizer.vocab_size))
    owed = {left: 3, right: 3, bom: 9}
    longest = max(owed.values()) + 1  # no op lies farther back

    def allowed(_row: int, ids: Tensor) -> list[int]:
        said = ids[-longest:].tolist()
        if not said:
            return [bom]
        count = 0
        while said[-1 - count] not in owed:
            if said[-1 - count] in (EOS, PAD):
                return [PAD]
            count += 1
        return coordinates if count < owed[said[-1 - count]] else [left, right, bom, EOS]

    return allowed


@torch.inference_mode()
def generate(
    model, conditions: Tensor, tokenizer: Tokenizer, sampling: SamplingConfig, budget: int, grammar: bool = True
) -> list[np.ndarray]:
    """(T,) mesh ids of each condition (B, S, C), by transformers' `generate()` with its dynamic cache, as one batch.

    Args:
        grammar: only ids that may come; without it the rate is an upper bound of what any way of asking could reach.
    """
    begin = model.get_input_embeddings().weight[BOS].expand(len(conditions), 1, -1)
    options = {"do_sample": False}
    if sampling.generate_mode == "sample":
        options = {"do_sample": True, "top_k": sampling.top_k}
    made = model.generate(
        inputs_embeds=torch.cat([conditions, begin], dim=1),
        attention_mask=torch.ones(len(conditions), conditions.shape[1] + 1, dtype=torch.long),
        max_new_tokens=budget,
        prefix_allowed_tokens_fn=allowed_ids(tokenizer) if grammar else None,
        **options,
    ).numpy()
    return [ids[(ids != EOS) & (ids != PAD)] for ids in made]
