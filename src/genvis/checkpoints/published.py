"""The names of published checkpoints, and which of our parameters each tensor is.

The table speaks of names only: `rename_published` turns a published state dict into ours, and accounts for every
tensor of it. Published are GenVIS, VITA and Mask2Former checkpoints of detectron2 models.
"""

import re
from dataclasses import dataclass, field

from torch import Tensor

_PIXEL_LEVEL = "detector.mask2former.pixel_level_module"
_TRANSFORMER = "detector.mask2former.transformer_module"
_RESNET = f"{_PIXEL_LEVEL}.encoder"
_SWIN = f"{_PIXEL_LEVEL}.encoder.swin"

# Published name (full match) -> our name. "{q}", "{k}" and "{v}" in a name say that the tensor's rows are the three
# projections of an attention, which we hold apart.
_RULES: tuple[tuple[str, str], ...] = (
    # ResNet. res2 is the first stage; a shortcut has its own convolution and normalisation.
    (r"backbone\.stem\.conv1\.weight", rf"{_RESNET}.embedder.embedder.convolution.weight"),
    (r"backbone\.stem\.conv1\.norm\.(\w+)", rf"{_RESNET}.embedder.embedder.normalization.\1"),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.weight", rf"{_RESNET}.encoder.stages.[\1-2].layers.\2.shortcut.convolution.weight"),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.norm\.(\w+)", rf"{_RESNET}.encoder.stages.[\1-2].layers.\2.shortcut.normalization.\3"),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.weight", rf"{_RESNET}.encoder.stages.[\1-2].layers.\2.layer.[\3-1].convolution.weight"),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.norm\.(\w+)", rf"{_RESNET}.encoder.stages.[\1-2].layers.\2.layer.[\3-1].normalization.\4"),
    # Swin.
    (r"backbone\.patch_embed\.proj\.(\w+)", rf"{_SWIN}.embeddings.patch_embeddings.projection.\1"),
    (r"backbone\.patch_embed\.norm\.(\w+)", rf"{_SWIN}.embeddings.norm.\1"),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.norm1\.(\w+)", rf"{_SWIN}.encoder.layers.\1.blocks.\2.layernorm_before.\3"),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.norm2\.(\w+)", rf"{_SWIN}.encoder.layers.\1.blocks.\2.layernorm_after.\3"),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv\.(\w+)", rf"{_SWIN}.encoder.layers.\1.blocks.\2.attention.{{qkv}}_proj.\3"),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.proj\.(\w+)", rf"{_SWIN}.encoder.layers.\1.blocks.\2.attention.o_proj.\3"),
    (
        r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table",
        rf"{_SWIN}.encoder.layers.\1.blocks.\2.attention.relative_position_bias.relative_position_bias_table",
    ),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.(fc\d\.\w+)", rf"{_SWIN}.encoder.layers.\1.blocks.\2.mlp.\3"),
    (r"backbone\.layers\.(\d+)\.downsample\.(.+)", rf"{_SWIN}.encoder.layers.\1.downsample.\2"),
    (r"backbone\.norm(\d)\.(\w+)", rf"{_PIXEL_LEVEL}.encoder.hidden_states_norms.stage[\1+1].\2"),
    # Pixel decoder.
    (r"sem_seg_head\.pixel_decoder\.input_proj\.(.+)", rf"{_PIXEL_LEVEL}.decoder.input_projections.\1"),
    (r"sem_seg_head\.pixel_decoder\.transformer\.level_embed", rf"{_PIXEL_LEVEL}.decoder.level_embed"),
    (r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.self_attn\.(.+)", rf"{_PIXEL_LEVEL}.decoder.encoder.layers.\1.self_attn.\2"),
    (r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm1\.(\w+)", rf"{_PIXEL_LEVEL}.decoder.encoder.layers.\1.self_attn_layer_norm.\2"),
    (r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.linear(\d)\.(\w+)", rf"{_PIXEL_LEVEL}.decoder.encoder.layers.\1.fc\2.\3"),
    (r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm2\.(\w+)", rf"{_PIXEL_LEVEL}.decoder.encoder.layers.\1.final_layer_norm.\2"),
    (r"sem_seg_head\.pixel_decoder\.mask_features\.(\w+)", r"detector.mask_projection.\1"),
    (r"sem_seg_head\.pixel_decoder\.(adapter|layer)_1\.weight", rf"{_PIXEL_LEVEL}.decoder.\1_1.0.weight"),
    (r"sem_seg_head\.pixel_decoder\.(adapter|layer)_1\.norm\.(\w+)", rf"{_PIXEL_LEVEL}.decoder.\1_1.1.\2"),
    # Masked-attention decoder.
    (r"sem_seg_head\.predictor\.query_feat\.weight", rf"{_TRANSFORMER}.queries_features.weight"),
    (r"sem_seg_head\.predictor\.static_query\.weight", rf"{_TRANSFORMER}.queries_features.weight"),
    (r"sem_seg_head\.predictor\.query_embed\.weight", rf"{_TRANSFORMER}.queries_embedder.weight"),
    (r"sem_seg_head\.predictor\.level_embed\.weight", rf"{_TRANSFORMER}.level_embed.weight"),
    (r"sem_seg_head\.predictor\.decoder_norm\.(\w+)", rf"{_TRANSFORMER}.decoder.layernorm.\1"),
    (r"sem_seg_head\.predictor\.class_embed\.(\w+)", r"detector.class_predictor.\1"),
    (r"sem_seg_head\.predictor\.mask_embed\.layers\.(\d)\.(\w+)", rf"{_TRANSFORMER}.decoder.mask_predictor.mask_embedder.\1.0.\2"),
    (r"sem_seg_head\.predictor\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.(.+)", rf"{_TRANSFORMER}.decoder.layers.\1.cross_attn.\2"),
    (r"sem_seg_head\.predictor\.transformer_cross_attention_layers\.(\d+)\.norm\.(\w+)", rf"{_TRANSFORMER}.decoder.layers.\1.cross_attn_layer_norm.\2"),
    (r"sem_seg_head\.predictor\.transformer_self_attention_layers\.(\d+)\.self_attn\.in_proj_(\w+)", rf"{_TRANSFORMER}.decoder.layers.\1.self_attn.{{qkv}}_proj.\2"),
    (r"sem_seg_head\.predictor\.transformer_self_attention_layers\.(\d+)\.self_attn\.out_proj\.(\w+)", rf"{_TRANSFORMER}.decoder.layers.\1.self_attn.out_proj.\2"),
    (r"sem_seg_head\.predictor\.transformer_self_attention_layers\.(\d+)\.norm\.(\w+)", rf"{_TRANSFORMER}.decoder.layers.\1.self_attn_layer_norm.\2"),
    (r"sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\.linear(\d)\.(\w+)", rf"{_TRANSFORMER}.decoder.layers.\1.fc\2.\3"),
    (r"sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\.norm\.(\w+)", rf"{_TRANSFORMER}.decoder.layers.\1.final_layer_norm.\2"),
    # Tracker.
    (r"vita_module\.input_proj_dec\.(\w+)", r"tracker.input_projection.\1"),
    (r"vita_module\.enc_self_attn\.(\d+)\.self_attn\.(.+)", r"tracker.encoder.layers.\1.self_attn.\2"),
    (r"vita_module\.enc_self_attn\.(\d+)\.norm\.(\w+)", r"tracker.encoder.layers.\1.norm1.\2"),
    (r"vita_module\.enc_ffn\.(\d+)\.(linear\d\.\w+)", r"tracker.encoder.layers.\1.\2"),
    (r"vita_module\.enc_ffn\.(\d+)\.norm\.(\w+)", r"tracker.encoder.layers.\1.norm2.\2"),
    (r"vita_module\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.(.+)", r"tracker.decoder.layers.\1.cross_attention.\2"),
    (r"vita_module\.transformer_cross_attention_layers\.(\d+)\.norm\.(\w+)", r"tracker.decoder.layers.\1.cross_attention_norm.\2"),
    (r"vita_module\.transformer_self_attention_layers\.(\d+)\.self_attn\.(.+)", r"tracker.decoder.layers.\1.self_attention.\2"),
    (r"vita_module\.transformer_self_attention_layers\.(\d+)\.norm\.(\w+)", r"tracker.decoder.layers.\1.self_attention_norm.\2"),
    (r"vita_module\.transformer_ffn_layers\.(\d+)\.(linear\d\.\w+)", r"tracker.decoder.layers.\1.\2"),
    (r"vita_module\.transformer_ffn_layers\.(\d+)\.norm\.(\w+)", r"tracker.decoder.layers.\1.feedforward_norm.\2"),
    (r"vita_module\.query_feat\.weight", r"tracker.query_features.weight"),
    (r"vita_module\.query_embed\.weight", r"tracker.decoder.query_position.weight"),
    (r"vita_module\.fq_pos\.weight", r"tracker.decoder.frame_query_position.weight"),
    (r"vita_module\.decoder_norm\.(\w+)", r"tracker.heads.norm.\1"),
    (r"vita_module\.class_embed\.(\w+)", r"tracker.heads.class_predictor.\1"),
    (r"vita_module\.mask_embed\.layers\.(\d)\.(\w+)", r"tracker.heads.mask_embedder.[\1*3].\2"),
    (r"vita_module\.vita_mask_features\.(\w+)", r"tracker.mask_features.\1"),
    (r"vita_module\.sim_embed_frame\.(\w+)", r"tracker.frame_similarity.\1"),
    (r"vita_module\.sim_embed_clip\.(\w+)", r"tracker.query_similarity.\1"),
    (r"vita_module\.pre_(memory|query)_embed_k\.(\w+)", r"tracker.memory_reader.\1_key.\2"),
    (r"vita_module\.pre_(memory|query)_embed_v\.(\w+)", r"tracker.memory_reader.\1_value.\2"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), target) for pattern, target in _RULES)

# Tensors that carry nothing: class weights of the losses, index tables that follow from the window, counters.
_DERIVED = re.compile(
    r"(\w*criterion\.empty_weight|.*\.relative_position_index|.*\.num_batches_tracked|pixel_mean|pixel_std)"
)


@dataclass
class Renamed:
    """A published state dict under our names.

    Attributes:
        tensors: By our names.
        origin: The published name of each of our names.
        derived: Published names whose tensors carry nothing that is learned.
        unknown: Published names that no rule covers.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def rename_published(state: dict[str, Tensor]) -> Renamed:
    """Give every tensor of a published state dict our name.

    Args:
        state: Published names and tensors.

    Returns:
        The renamed tensors, and the names that have no place.
    """
    renamed = Renamed()
    for name, tensor in state.items():
        if _DERIVED.fullmatch(name):
            renamed.derived.append(name)
            continue
        target = _our_name(name)
        if target is None:
            renamed.unknown.append(name)
            continue
        if "{qkv}" in target and tensor.shape[0] % 3 == 0:
            parts = {target.replace("{qkv}", part): rows for part, rows in zip("qkv", tensor.chunk(3), strict=True)}
        else:
            parts = {target: tensor}
        for part, rows in parts.items():
            renamed.tensors[part] = rows
            renamed.origin[part] = name
    return renamed


def _our_name(name: str) -> str | None:
    for pattern, target in _COMPILED:
        match = pattern.fullmatch(name)
        if match:
            return re.sub(r"\[(\d+)([-+*])(\d+)\]", _calculate, match.expand(target))
    return None


def _calculate(match: re.Match[str]) -> str:
    left, operator, right = int(match[1]), match[2], int(match[3])
    return str({"-": left - right, "+": left + right, "*": left * right}[operator])
