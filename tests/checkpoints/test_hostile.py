"""Hostile and damaged checkpoints: one sentence each, in seconds, within a few gigabytes, and no code runs."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genvis
from genvis.checkpoints.bounds import BOUNDS, check_fields
from genvis.checkpoints.published_files import load_published
from genvis.errors import InputError
from tests.tiny_families import FAMILIES, save_tiny_family

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
CHECKPOINT = GOLDEN / "genvis_r50_tiny.pth"
QUERIES = "vita_module.query_embed.weight"


def state() -> dict[str, Tensor]:
    return torch.load(CHECKPOINT, weights_only=True)["model"]


def sentence(name: Path) -> str:
    with pytest.raises(InputError) as raised:
        genvis.load(name)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


# Published files.


TENSORS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "terabytes": (
        lambda _: torch.zeros(1).expand(1 << 20, 1 << 20),
        "claims 4,398,046,511,104 bytes, but 4 are stored",
    ),
    "terabytes in half": (lambda _: torch.zeros(1).half().expand(1 << 20, 1 << 20), "claims 2,199,023,255,552 bytes"),
    "many rows": (lambda tensor: torch.zeros(1).expand(50_000, tensor.shape[1]), "but 4 are stored"),
    "really many rows": (lambda _: torch.zeros(20_000, 1), "num_instance_queries is 20000"),
    "scalar": (lambda _: torch.tensor(1.0), "is (), which is not of 2 dimensions"),
    "sparse": (lambda tensor: tensor.to_sparse(), "no dense tensor of real numbers"),
    "abstract": (lambda tensor: torch.empty(tensor.shape, device="meta"), "no dense tensor of real numbers"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "no dense tensor of real numbers"),
    "not a number": (lambda tensor: tensor * float("nan"), "not finite"),
    "infinite": (lambda tensor: tensor + float("inf"), "not finite"),
    "text": (lambda _: "x", "holds no state dict"),
    "nothing": (lambda _: None, "holds no state dict"),
    "empty": (lambda _: torch.empty(0), "is (0,), which is not of 2 dimensions"),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_that_no_network_stores_is_refused(kind: str, tmp_path: Path) -> None:
    change, message = TENSORS[kind]
    tensors: dict[str, Any] = state()
    tensors[QUERIES] = change(tensors[QUERIES])
    torch.save({"model": tensors}, tmp_path / "file.pth")
    assert message in sentence(tmp_path / "file.pth")


def test_tensors_that_share_their_memory_many_times_are_refused(tmp_path: Path) -> None:
    shared = torch.zeros(1_000_000)
    torch.save({f"weight{index}": shared[index:] for index in range(100)}, tmp_path / "file.pth")
    assert "together, but 4,000,000 are stored" in sentence(tmp_path / "file.pth")


def test_layers_that_only_their_names_make_are_counted_and_bounded(tmp_path: Path) -> None:
    names = (f"sem_seg_head.predictor.transformer_ffn_layers.{index}.norm.weight" for index in range(3, 300))
    torch.save({"model": state() | {name: torch.zeros(1) for name in names}}, tmp_path / "file.pth")
    assert "detector.decoder_layers is 301: it must be a whole number from 0 to 200" in sentence(tmp_path / "file.pth")


def test_too_many_tensors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genvis.checkpoints.published_files._MOST_TENSORS", 100)
    torch.save({str(index): torch.zeros(0) for index in range(101)}, tmp_path / "file.pth")
    assert "it holds 101 tensors, of which 100 may be" in sentence(tmp_path / "file.pth")
    torch.save({str(index): torch.zeros(1) for index in range(300)}, tmp_path / "file.pth")
    assert "parts, of which 200 may be" in sentence(tmp_path / "file.pth")


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("backbone.q.weight", torch.zeros(1).expand(1 << 30, 64), "claims"),
        ("backbone.q.weight", torch.zeros(20_000, 1), "num_queries is 20000"),
        ("backbone.q.weight", torch.tensor(1.0), "not of 2 dimensions"),
        ("backbone.attn_mask_probs", torch.zeros(1000), "num_blocks is 1000"),
        ("backbone.attn_mask_probs", torch.zeros(9), "could not be loaded: num_blocks is 9"),
        ("backbone.encoder.backbone.reg_token", torch.zeros(1, 1000, 64), "num_register_tokens is 1000"),
        ("backbone.encoder.backbone.pos_embed", torch.zeros(1, 99, 64), "could not be loaded|does not fit"),
        ("backbone.class_head.weight", torch.zeros(100_000, 1), "has 99999 classes"),
        ("backbone.encoder.backbone.patch_embed.proj.weight", torch.zeros(1, 3, 16, 16), "mlp_ratio is 256"),
        ("backbone.encoder.backbone.patch_embed.proj.weight", torch.zeros(64, 3, 99, 99), "patch_size is 99"),
    ],
)
def test_a_published_videomt_has_bounds(name: str, tensor: Tensor, message: str, tmp_path: Path) -> None:
    tensors = torch.load(GOLDEN / "videomt_tiny.pth", weights_only=True)["model"]
    torch.save({"model": {**tensors, name: tensor}}, tmp_path / "file.pth")
    assert re.search(message, sentence(tmp_path / "file.pth"))


def repack(source: Path, target: Path, *, method: int, change: Callable[[str, bytes], bytes]) -> None:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", method) as packed:
        for part in archive.infolist():
            packed.writestr(part.filename, change(part.filename, archive.read(part)), method)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    repack(CHECKPOINT, tmp_path / "bomb.pth", method=zipfile.ZIP_DEFLATED, change=lambda _, content: content)
    assert "its parts are compressed or overlap" in sentence(tmp_path / "bomb.pth")


def test_an_archive_whose_parts_are_cut_is_refused(tmp_path: Path) -> None:
    def cut(name: str, content: bytes) -> bytes:
        return content[:16] if "/data/" in name else content

    repack(CHECKPOINT, tmp_path / "cut.pth", method=zipfile.ZIP_STORED, change=cut)
    assert "is no checkpoint of torch.save, or is truncated" in sentence(tmp_path / "cut.pth")


# Configurations of folders.


@pytest.fixture(scope="module")
def genvis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genvis")
    load_published(CHECKPOINT).save_pretrained(folder)
    return folder


def changed(folder: Path, out: Path, path: str, value: Any, *, file: str = "config.json") -> Path:
    """Copy a folder with another value at a dotted path of its configuration."""
    out.mkdir()
    for source in folder.iterdir():
        (out / source.name).symlink_to(source)
    content = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
    *parents, last = path.split(".")
    place = content
    for parent in parents:
        place = place[parent]
    place[last] = value
    (out / file).unlink(missing_ok=True)
    (out / file).write_text(json.dumps(content))
    return out


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("encoder_layers", 100_000, "encoder_layers is 100000: it must be a whole number from 0 to 200"),
        ("object_decoder_layers", 10**5, "object_decoder_layers is 100000"),
        ("num_instance_queries", 10**9, "num_instance_queries is 1000000000"),
        ("hidden_dim", 10**7, "hidden_dim is 10000000"),
        ("hidden_dim", 0, "hidden_dim is 0"),
        ("hidden_dim", "64", "hidden_dim is '64'"),
        ("hidden_dim", True, "hidden_dim is True"),
        ("dim_feedforward", 10**12, "dim_feedforward is 1000000000000"),
        ("num_attention_heads", 10**4, "num_attention_heads is 10000"),
        ("detector.decoder_layers", 10**5, "detector.decoder_layers is 100000"),
        ("detector.num_queries", 10**8, "detector.num_queries is 100000000"),
        ("detector.backbone_config.depths", [10**5] * 4, "detector.backbone_config.depths is 100000"),
        ("detector.backbone_config.depths", [1] * 1000, "depths has 1000 entries"),
        ("detector.backbone_config.hidden_sizes", [10**6] * 4, "hidden_sizes is 1000000"),
        ("detector.backbone_config.embedding_size", 10**40, "embedding_size is 1000"),
        ("pixel_std", [0, 1, 1], "pixel_std is 0"),
        ("pixel_std", [float("nan"), 1, 1], "pixel_std is nan"),
        ("pixel_std", [-1, 1, 1], "pixel_std is -1"),
        ("pixel_mean", [float("inf"), 1, 1], "pixel_mean is inf"),
        ("pixel_mean", [], "pixel_mean"),
        ("min_size_test", 10**9, "min_size_test is 1000000000: it must be a whole number from 1 to 8192"),
        ("max_size_test", 10**9, "max_size_test is 1000000000"),
        ("size_divisibility", 7, "size_divisibility is 7: it must be a multiple of 32"),
        ("clip_length", 10**9, "clip_length is 1000000000"),
        ("memory_clips", -1, "memory_clips is -1"),
        ("detections_per_video", 10**9, "detections_per_video is 1000000000"),
        ("initializer_factor", float("nan"), "initializer_factor is nan"),
        ("id2label", {str(index): "x" for index in range(10_001)}, "10001 entries"),
        ("id2label", {"0": "x" * 1000}, "must be a name of at most 200 characters"),
        ("id2label", {"7": "x"}, "otherwise than 0, 1, 2"),
        ("id2label", {"0": 3}, "must be a name"),
        ("id2label", "many", "must be at most 10000 names"),
        ("quantization_config", {"quant_method": "bitsandbytes"}, "quantised weights"),
    ],
)
def test_a_configuration_out_of_bounds_is_refused(
    genvis_folder: Path, tmp_path: Path, path: str, value: Any, message: str
) -> None:
    assert message in sentence(changed(genvis_folder, tmp_path / "changed", path, value))


@pytest.mark.parametrize(
    "text", ["{" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, '{"a": ' + "9" * 5000 + "}", "[1]", ""]
)
def test_what_is_no_json_object_is_refused(genvis_folder: Path, tmp_path: Path, text: str) -> None:
    (changed(genvis_folder, tmp_path / "changed", "hidden_dim", 1) / "config.json").write_text(text)
    assert re.search(r"is not JSON|nested|holds a list", sentence(tmp_path / "changed"))


def test_deep_nesting_is_refused(genvis_folder: Path, tmp_path: Path) -> None:
    nested: dict[str, Any] = {}
    for _ in range(50):
        nested = {"a": nested}
    assert "nested deeper than 8 levels" in sentence(changed(genvis_folder, tmp_path / "changed", "a", nested))


def test_sizes_within_bounds_that_the_weights_do_not_have_are_refused_before_they_are_allocated(
    genvis_folder: Path, tmp_path: Path
) -> None:
    folder = changed(genvis_folder, tmp_path / "changed", "num_instance_queries", 10_000)
    fields = json.loads((folder / "config.json").read_text())
    fields |= {"hidden_dim": 8192, "dim_feedforward": 65_536, "encoder_layers": 200, "object_decoder_layers": 200}
    fields["detector"] |= {"hidden_dim": 8192}
    (folder / "config.json").write_text(json.dumps(fields))
    assert "describes a network of" in sentence(folder)


@pytest.fixture(scope="module")
def family_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_tiny_family(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [10**5, 10**9, -1, 0.5, "x"])
def test_every_family_has_bounds(family: str, value: Any, family_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = family_folders[family]
    name = "decoder_layers" if family in ("rf_detr", "mask2former") else "num_hidden_layers"
    assert f"{name} is {value!r}" in sentence(changed(folder, tmp_path / "changed", name, value))


def test_every_number_of_every_family_has_bounds_or_is_no_size(family_folders: dict[str, Path]) -> None:
    free = (
        "weight",
        "coefficient",
        "cost",
        "ratio",
        "std",
        "range",
        "eps",
        "alpha",
        "value",
        "points",
        "_id",
        "dropout",
    )
    for family, folder in family_folders.items():
        fields = json.loads((folder / "config.json").read_text())
        for name, value in {**fields, **fields.get("backbone_config", {})}.items():
            if isinstance(value, int) and not isinstance(value, bool) and name not in BOUNDS:
                assert name.endswith(free) or name in ("chunk_size_feed_forward",), f"{family}: {name}"


# Preprocessors.


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("image_std", [0.0, 1.0, 1.0], "image_std is 0.0"),
        ("image_std", [float("nan")] * 3, "image_std is nan"),
        ("image_mean", [1e9] * 3, "image_mean is 1000000000.0"),
        ("image_mean", [0.5], "image_mean has 1 entries"),
        ("rescale_factor", 0, "rescale_factor is 0"),
        ("size", {"shortest_edge": 10**9}, "size.shortest_edge is 1000000000"),
        ("size", {"height": 0, "width": 0}, "size.height is 0"),
        ("size", "large", "size is 'large'"),
        ("resample", 10**9, "resample is 1000000000"),
    ],
)
def test_a_preprocessor_out_of_bounds_is_refused(
    path: str, value: Any, message: str, family_folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = family_folders["mask2former"]
    assert message in sentence(changed(folder, tmp_path / "changed", path, value, file="preprocessor_config.json"))


# Code.


def test_what_could_run_or_fetch_code_is_left_out(genvis_folder: Path, tmp_path: Path) -> None:
    folder = changed(genvis_folder, tmp_path / "changed", "auto_map", {"AutoModel": "modeling.Model"})
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'sign')!r}, 'w')")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/else"}))
    fields = json.loads((folder / "config.json").read_text())
    fields |= {"attn_implementation": "someone/kernel", "_attn_implementation": "someone/kernel", "use_kernels": True}
    fields["detector"]["attn_implementation"] = "someone/kernel"
    (folder / "config.json").write_text(json.dumps(fields))
    model = genvis.load(folder)
    assert not (tmp_path / "sign").exists()
    assert "kernel" not in str(model.config.to_dict())


def test_a_pytorch_bin_is_read_as_tensors_and_nothing_else(genvis_folder: Path, tmp_path: Path) -> None:
    folder = changed(genvis_folder, tmp_path / "changed", "clip_length", 1)
    tensors = genvis.load(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in genvis.load(folder).state_dict().items())
    torch.save({**tensors, "extra": Path("x").touch}, folder / "pytorch_model.bin")
    assert "is refused: it holds Python objects besides tensors" in sentence(folder)


@pytest.mark.parametrize(
    "name", ["../../secret.safetensors", "/etc/secret.safetensors", "model.bin", "absent.safetensors"]
)
def test_an_index_of_parts_stays_in_its_folder(genvis_folder: Path, tmp_path: Path, name: str) -> None:
    folder = changed(genvis_folder, tmp_path / "changed", "clip_length", 1)
    (folder / "model.safetensors").rename(tmp_path / "secret.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    assert "names no parts" in sentence(folder) or name == "absent.safetensors"


def test_weights_in_parts_are_read(genvis_folder: Path, tmp_path: Path) -> None:
    genvis.load(genvis_folder).save_pretrained(tmp_path / "parts", max_shard_size="1MB")
    assert (tmp_path / "parts" / "model.safetensors.index.json").is_file()
    expected = genvis.load(genvis_folder).state_dict()
    assert all(
        torch.equal(tensor, expected[name]) for name, tensor in genvis.load(tmp_path / "parts").state_dict().items()
    )


def test_all_is_refused_within_little_memory(genvis_folder: Path, tmp_path: Path) -> None:
    """A process of 6 GB of address space refuses what would take terabytes."""
    tensors = state()
    tensors[QUERIES] = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save({"model": tensors}, tmp_path / "terabytes.pth")
    changed(genvis_folder, tmp_path / "layers", "detector.encoder_layers", 10**6)
    changed(genvis_folder, tmp_path / "wide", "mask_feature_size", 10**9)
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))\n"
        "import genvis\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        genvis.load(name)\n"
        "    except genvis.InputError as error:\n"
        "        print(error)\n"
    )
    names = [str(tmp_path / name) for name in ("terabytes.pth", "layers", "wide")]
    done = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=True, timeout=120
    )
    assert len(done.stdout.splitlines()) == 3, done.stdout


def test_bounds_are_above_every_published_size() -> None:
    largest = {
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_queries": 300,
        "image_size": 1280,
        "depths": [2, 2, 18, 2],
    }
    check_fields({**largest, "detector": largest}, file="config.json")
