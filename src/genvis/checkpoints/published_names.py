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

_PIXEL_DECODER = f"{_PIXEL_LEVEL}.decoder"

# Sections of the published names: (prefix, our prefix, rules for the rest). All patterns match in full, and "[2-1]"
# is calculated. "{qkv}": the rows are the three projections of an attention, which we hold apart.
_SECTIONS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        r"backbone\.stem\.conv1\.",
        rf"{_RESNET}.embedder.embedder.",
        ((r"weight", r"convolution.weight"), (r"norm\.(\w+)", r"normalization.\1")),
    ),
    (  # res2 is the first stage; a shortcut has its own convolution and normalisation.
        r"backbone\.res(\d)\.(\d+)\.",
        rf"{_RESNET}.encoder.stages.[\1-2].layers.\2.",
        (
            (r"shortcut\.weight", r"shortcut.convolution.weight"),
            (r"shortcut\.norm\.(\w+)", r"shortcut.normalization.\1"),
            (r"conv(\d)\.weight", r"layer.[\1-1].convolution.weight"),
            (r"conv(\d)\.norm\.(\w+)", r"layer.[\1-1].normalization.\2"),
        ),
    ),
    (
        r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.",
        rf"{_SWIN}.encoder.layers.\1.blocks.\2.",
        (
            (r"norm1\.(\w+)", r"layernorm_before.\1"),
            (r"norm2\.(\w+)", r"layernorm_after.\1"),
            (r"attn\.qkv\.(\w+)", r"attention.{qkv}_proj.\1"),
            (r"attn\.proj\.(\w+)", r"attention.o_proj.\1"),
            (r"attn\.(relative_position_bias)_table", r"attention.\1.\1_table"),
            (r"mlp\.(fc\d\.\w+)", r"mlp.\1"),
        ),
    ),
    (
        r"backbone\.",
        rf"{_PIXEL_LEVEL}.encoder.",
        (
            (r"patch_embed\.proj\.(\w+)", r"swin.embeddings.patch_embeddings.projection.\1"),
            (r"patch_embed\.norm\.(\w+)", r"swin.embeddings.norm.\1"),
            (r"layers\.(\d+)\.downsample\.(.+)", r"swin.encoder.layers.\1.downsample.\2"),
            (r"norm(\d)\.(\w+)", r"hidden_states_norms.stage[\1+1].\2"),
        ),
    ),
    (
        r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.",
        rf"{_PIXEL_DECODER}.encoder.layers.\1.",
        (
            (r"self_attn\.(.+)", r"self_attn.\1"),
            (r"norm1\.(\w+)", r"self_attn_layer_norm.\1"),
            (r"linear(\d)\.(\w+)", r"fc\1.\2"),
            (r"norm2\.(\w+)", r"final_layer_norm.\1"),
        ),
    ),
    (
        r"sem_seg_head\.pixel_decoder\.",
        rf"{_PIXEL_DECODER}.",
        (
            (r"input_proj\.(.+)", r"input_projections.\1"),
            (r"transformer\.level_embed", r"level_embed"),
            (r"(adapter|layer)_1\.weight", r"\1_1.0.weight"),
            (r"(adapter|layer)_1\.norm\.(\w+)", r"\1_1.1.\2"),
        ),
    ),
    (r"sem_seg_head\.pixel_decoder\.mask_features\.", r"detector.mask_projection.", ((r"(\w+)", r"\1"),)),
    (r"sem_seg_head\.predictor\.class_embed\.", r"detector.class_predictor.", ((r"(\w+)", r"\1"),)),
    (
        r"sem_seg_head\.predictor\.transformer_cross_attention_layers\.(\d+)\.",
        rf"{_TRANSFORMER}.decoder.layers.\1.",
        ((r"multihead_attn\.(.+)", r"cross_attn.\1"), (r"norm\.(\w+)", r"cross_attn_layer_norm.\1")),
    ),
    (
        r"sem_seg_head\.predictor\.transformer_self_attention_layers\.(\d+)\.",
        rf"{_TRANSFORMER}.decoder.layers.\1.",
        (
            (r"self_attn\.in_proj_(\w+)", r"self_attn.{qkv}_proj.\1"),
            (r"self_attn\.out_proj\.(\w+)", r"self_attn.out_proj.\1"),
            (r"norm\.(\w+)", r"self_attn_layer_norm.\1"),
        ),
    ),
    (
        r"sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\.",
        rf"{_TRANSFORMER}.decoder.layers.\1.",
        ((r"linear(\d)\.(\w+)", r"fc\1.\2"), (r"norm\.(\w+)", r"final_layer_norm.\1")),
    ),
    (
        r"sem_seg_head\.predictor\.",
        rf"{_TRANSFORMER}.",
        (
            (r"(query_feat|static_query)\.weight", r"queries_features.weight"),
            (r"query_embed\.weight", r"queries_embedder.weight"),
            (r"level_embed\.weight", r"level_embed.weight"),
            (r"decoder_norm\.(\w+)", r"decoder.layernorm.\1"),
            (r"mask_embed\.layers\.(\d)\.(\w+)", r"decoder.mask_predictor.mask_embedder.\1.0.\2"),
        ),
    ),
    (
        r"vita_module\.enc_(self_attn|ffn)\.(\d+)\.",
        r"tracker.encoder.layers.\2.",
        ((r"self_attn\.(.+)", r"self_attn.\1"), (r"(linear\d\.\w+)", r"\1")),
    ),
    (r"vita_module\.enc_self_attn\.(\d+)\.norm\.", r"tracker.encoder.layers.\1.norm1.", ((r"(\w+)", r"\1"),)),
    (r"vita_module\.enc_ffn\.(\d+)\.norm\.", r"tracker.encoder.layers.\1.norm2.", ((r"(\w+)", r"\1"),)),
    (
        r"vita_module\.transformer_cross_attention_layers\.(\d+)\.",
        r"tracker.decoder.layers.\1.",
        ((r"multihead_attn\.(.+)", r"cross_attention.\1"), (r"norm\.(\w+)", r"cross_attention_norm.\1")),
    ),
    (
        r"vita_module\.transformer_self_attention_layers\.(\d+)\.",
        r"tracker.decoder.layers.\1.",
        ((r"self_attn\.(.+)", r"self_attention.\1"), (r"norm\.(\w+)", r"self_attention_norm.\1")),
    ),
    (
        r"vita_module\.transformer_ffn_layers\.(\d+)\.",
        r"tracker.decoder.layers.\1.",
        ((r"(linear\d\.\w+)", r"\1"), (r"norm\.(\w+)", r"feedforward_norm.\1")),
    ),
    (
        r"vita_module\.",
        r"tracker.",
        (
            (r"input_proj_dec\.(\w+)", r"input_projection.\1"),
            (r"query_feat\.weight", r"query_features.weight"),
            (r"query_embed\.weight", r"decoder.query_position.weight"),
            (r"fq_pos\.weight", r"decoder.frame_query_position.weight"),
            (r"decoder_norm\.(\w+)", r"heads.norm.\1"),
            (r"class_embed\.(\w+)", r"heads.class_predictor.\1"),
            (r"mask_embed\.layers\.(\d)\.(\w+)", r"heads.mask_embedder.[\1*3].\2"),
            (r"vita_mask_features\.(\w+)", r"mask_features.\1"),
            (r"sim_embed_frame\.(\w+)", r"frame_similarity.\1"),
            (r"sim_embed_clip\.(\w+)", r"query_similarity.\1"),
            (r"pre_(memory|query)_embed_k\.(\w+)", r"memory_reader.\1_key.\2"),
            (r"pre_(memory|query)_embed_v\.(\w+)", r"memory_reader.\1_value.\2"),
        ),
    ),
)
_COMPILED = tuple(
    (re.compile(prefix + rest), our_prefix, re.compile(prefix), re.compile(rest), our_rest)
    for prefix, our_prefix, rules in _SECTIONS
    for rest, our_rest in rules
)

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
        if "{qkv}" in target and tensor.ndim > 0:
            thirds = tensor.tensor_split(
                3
            )  # Of unequal heights where the tensor is misshapen, which is an error of the loader.
            parts = {target.replace("{qkv}", part): rows for part, rows in zip("qkv", thirds, strict=True)}
        else:
            parts = {target: tensor}
        for part, rows in parts.items():
            renamed.tensors[part] = rows
            renamed.origin[part] = name
    return renamed


def _our_name(name: str) -> str | None:
    for whole, our_prefix, prefix, rest, our_rest in _COMPILED:
        if not whole.fullmatch(name):
            continue
        start, end = prefix.match(name), rest.fullmatch(prefix.sub("", name, count=1))
        if start and end:
            return re.sub(r"\[(\d+)([-+*])(\d+)\]", _calculate, start.expand(our_prefix) + end.expand(our_rest))
    return None


def _calculate(match: re.Match[str]) -> str:
    left, operator, right = int(match[1]), match[2], int(match[3])
    return str({"-": left - right, "+": left + right, "*": left * right}[operator])
