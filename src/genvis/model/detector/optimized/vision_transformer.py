"""Block of a plain vision transformer for inference on CPUs: products by the faster library, fewer passes over memory.

Reference: transformers' `EomtLayer` and `VideomtLayer`, whose parameters are used.
"""

import torch
from torch import Tensor
from transformers.models.eomt.modeling_eomt import EomtLayer, EomtMLP
from transformers.models.videomt.modeling_videomt import VideomtLayer, VideomtMLP

from genvis.model.detector.optimized.linear import apply_linear, feedforward
from genvis.model.detector.optimized.token_attention import token_attention

Block = EomtLayer | VideomtLayer


def vit_block(block: Block, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute what ``block`` does, optimized in evaluation mode on a CPU without gradient or tracing.

    Args:
        block: The module whose parameters are used.
        tokens: (F, N, C).
        mask: (F, 1, N, N), added to the scores of the attention, or None.

    Returns:
        (F, N, C).
    """
    if block.training or not is_inference_on_cpu(tokens):
        result: Tensor = block(tokens, mask)
        return result
    attention = block.attention
    normalised = block.norm1(tokens)  # (F, N, C)
    query, key, value = (
        apply_linear(projection, normalised) for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    attended = token_attention(query, key, value, heads=attention.num_heads, mask=mask)  # (F, N, C)
    attended = apply_linear(attention.out_proj, attended)
    tokens = torch.addcmul(tokens, attended, block.layer_scale1.lambda1)
    normalised, mlp = block.norm2(tokens), block.mlp
    if isinstance(mlp, EomtMLP | VideomtMLP):
        inner = feedforward(mlp.fc1, mlp.activation_fn, mlp.fc2, normalised)
    else:  # Of the giant models, with a gate.
        inner = mlp(normalised)
    return tokens.addcmul_(inner, block.layer_scale2.lambda1)


def is_inference_on_cpu(x: Tensor) -> bool:
    """Whether what is computed of ``x`` needs no gradient, is not traced, and runs on a CPU."""
    return x.device.type == "cpu" and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
