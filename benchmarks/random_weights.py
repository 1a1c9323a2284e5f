"""Models with random weights that benchmarks time: full-size ones need no others."""

import torch

from core.config import Config
from core.model.arae import ArAE
from core.model.face_decoder import FaceDecoder
from core.tokens import EOS, Tokenizer

ENDLESS = torch.tensor([0.0, 0.0, -2.8, -100.0])  # biases of L, R, BOM and END: 3 % of drawn groups begin a sub-mesh


def random_model(config: Config, device: torch.device, dtype: torch.dtype) -> ArAE:
    """Every matrix random, made on the device and in its type; it never ends a mesh by itself."""
    with torch.device("meta"):
        model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size)
    model = model.to(dtype).to_empty(device=device).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or ".ln" in name or name.endswith("bias"):
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                parameter.normal_(std=0.02)
        if isinstance(model.mesh_decoder, FaceDecoder):
            model.mesh_decoder.head.ops.bias.copy_(ENDLESS)
        else:
            model.mesh_decoder.model.layers[-1].final_layer_norm.bias.fill_(0.1)  # type: ignore[union-attr, operator]
            model.mesh_decoder.lm_head.weight[EOS] = -1.0  # type: ignore[union-attr]
    return model
