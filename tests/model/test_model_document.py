"""The examples of docs/model.md run, and what it says of names and numbers is so."""

import re
import shutil
from pathlib import Path

import pytest
from transformers import Mask2FormerForUniversalSegmentation

from genvis import GenVIS
from genvis.checkpoints.load import load_genvis
from genvis.model.config import DetectorConfig
from tests.model.tiny_models import RESNET

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "model.md"


def text() -> str:
    if not DOCUMENT.is_file():
        pytest.skip("the documents are not part of this distribution")
    return DOCUMENT.read_text(encoding="utf-8")


def test_the_examples_run_in_their_order(tmp_path, monkeypatch):
    examples = re.findall(r"```python\n(.*?)```", text(), flags=re.DOTALL)
    assert len(examples) >= 5
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "tests" / "golden" / "inference" / "genvis_r50_tiny.pth", "genvis_r50_ytvis21.pth")
    sizes = {"hidden_dim": 32, "feature_size": 32, "mask_feature_size": 32, "num_queries": 5, "decoder_layers": 2}
    layers = {"encoder_layers": 1, "encoder_feedforward_dim": 32, "dim_feedforward": 32, "num_attention_heads": 4}
    detector = DetectorConfig(backbone_config=RESNET, **sizes, **layers)
    Mask2FormerForUniversalSegmentation(detector).save_pretrained("mask2former")
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(DOCUMENT), "exec"), names)
    model, mine = names["model"], names["mine"]
    assert isinstance(model, GenVIS)
    assert names["logits"].shape == (1, 12, 1, 24, 40)
    assert len(names["state"].memory) == 6
    assert names["masks"].mask_logits.shape == (3, 12, 24, 40)
    assert names["longer"].config.memory_clips == 500
    assert mine.tracker is None


def test_the_files_that_it_names_are_there():
    for name in re.findall(r"`([\w/]+\.py)`", text()):
        assert name.startswith("src/") or list((ROOT / "src" / "genvis" / "model").rglob(name)), name


def test_our_names_in_the_table_of_published_names_are_parts_of_the_network():
    parts: set[str] = set()
    for kind in ("r50", "swin"):
        model = load_genvis(ROOT / "tests" / "golden" / "inference" / f"genvis_{kind}_tiny.pth")
        parts |= {name for name, _ in model.named_modules()}
    for name in re.findall(r"\| `((?:detector|tracker)\.(?!py)[\w.]+)`", text()):
        assert name in parts, name


def test_the_parameters_of_its_table_add_up():
    columns = list(
        zip(*re.findall(r"^\|[^|]+\| \**([\d,]+)\** \| \**([\d,]+)\** \|$", text(), flags=re.M), strict=True)
    )
    assert len(columns) == 2
    for column in columns:
        *parts, total = (int(number.replace(",", "")) for number in column)
        assert sum(parts) == total
    assert columns[0][-1] == "57,398,226"
