"""Image -> tokens: a vision tower of transformers (CLIP ViT-H/14 by default), read from the hub or a local folder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def preprocess(images: Tensor, size: int = 224) -> Tensor:
    """Resize images (B, 3, H, W) in [0, 1] bilinearly to size x size and normalise them by CLIP's mean and std."""
    if images.shape[-2:] != (size, size):
        images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
    mean = images.new_tensor(CLIP_MEAN).view(3, 1, 1)
    std = images.new_tensor(CLIP_STD).view(3, 1, 1)
    return (images - mean) / std


def load_image_encoder(name: str) -> nn.Module:
    """The vision tower of a transformers CLIP model, by hub id or local folder.

    Raises:
        ValueError: it is neither on this disk nor to be had from the hub.
    """
    from transformers import CLIPVisionModel

    try:
        return CLIPVisionModel.from_pretrained(name)
    except OSError as error:
        raise ValueError(
            f"--image_encoder {name}: neither a local folder with a CLIP vision model nor a model that the hub "
            f"gives ({str(error).splitlines()[0]})"
        ) from error


def encode_images(tower: nn.Module, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] -> the tower's last hidden states (B, tokens, channels)."""
    pixels = preprocess(images, tower.config.image_size)  # type: ignore[union-attr, arg-type]
    dtype = next(tower.parameters()).dtype
    return tower(pixels.to(dtype)).last_hidden_state


def freeze(module: nn.Module) -> nn.Module:
    """Evaluation mode for good, and no gradients."""
    module.requires_grad_(False)
    module.train(False)
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    return module


def no_grad_if(frozen: bool):
    """Context without gradients for a frozen tower."""
    return torch.no_grad() if frozen else torch.enable_grad()
