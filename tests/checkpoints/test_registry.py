"""The registry agrees with the architectures, the published numbers and the command line."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import (
    EomtConfig,
    EomtForUniversalSegmentation,
    Mask2FormerForUniversalSegmentation,
    PreTrainedModel,
    VideomtConfig,
    VideomtForUniversalSegmentation,
)

from genvis.categories import known_categories
from genvis.checkpoints.hub import megabytes
from genvis.checkpoints.registry import DEFAULT_MODEL, RegistryEntry, entry_of, find_entry, registry
from genvis.cli.main import main
from genvis.errors import InputError
from genvis.model.config import DetectorConfig, GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.published_models import recipe_names, swin_backbone
from tests.tiny_families import save_tiny_family

VIT = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
SWIN = {"t": "tiny", "s": "small", "b": "base", "l": "large"}


def test_names_and_hub_ids_are_unique_and_every_entry_is_complete() -> None:
    names = [entry.name for entry in registry()]
    hub_ids = [entry.hub_id for entry in registry() if entry.hub_id]
    assert len(set(names)) == len(names)
    assert len(set(hub_ids)) == len(hub_ids)
    for entry in registry():
        assert bool(entry.average_precision) == bool(entry.measured_on), entry
        assert entry.source
        assert entry.note
        if entry.categories:
            assert len(known_categories(entry.categories)) == entry.num_categories, entry


def test_all_published_genvis_and_vita_models_are_there() -> None:
    families = {entry.name: entry.family for entry in registry()}
    assert {name: families.get(name) for name in recipe_names()} == {
        name: "vita" if name.startswith("vita-") else "genvis" for name in recipe_names()
    }


def test_the_default_is_one_of_the_hub_that_anybody_may_use() -> None:
    entry = entry_of(DEFAULT_MODEL)
    assert (entry.hub_id, entry.licence, entry.num_categories) == ("tue-mps/videomt-dinov2-small-ytvis2019", "MIT", 40)


def build(name: str) -> PreTrainedModel | None:
    """Return the network of an entry, without memory; None where only its folder tells the sizes."""
    entry = entry_of(name)
    labels = {index: str(index) for index in range(entry.num_categories)}
    size = name.split("-")[1]
    if entry.family in ("genvis", "vita"):
        return None if entry.is_bundled else GenVIS(GenVISConfig.from_recipe(name))
    if entry.family == "mask2former":
        queries = 200 if size == "l" else 100
        config = DetectorConfig(backbone_config=swin_backbone(SWIN[size]), num_queries=queries, id2label=labels)
        return Mask2FormerForUniversalSegmentation(config)
    if entry.family in ("videomt", "eomt"):
        width, layers, heads = VIT[size]
        fields = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "id2label": labels}
        if entry.family == "videomt":
            return VideomtForUniversalSegmentation(VideomtConfig(**fields))
        side = 1280 if name.endswith("1280") else 640
        return EomtForUniversalSegmentation(EomtConfig(**fields, image_size=side))
    return None


@pytest.mark.parametrize("name", [entry.name for entry in registry() if entry.family != "rf_detr"])
def test_parameters_are_those_of_the_architecture(name: str) -> None:
    with torch.device("meta"):
        network = build(name)
    if network is not None:
        assert entry_of(name).parameters == sum(parameter.numel() for parameter in network.parameters())


def test_the_line_that_uses_published_weights_says_what_their_tensors_cannot() -> None:
    assert entry_of("ovis-r50-online").usage == "genvis predict VIDEO --weights FILE.pth"
    usage = entry_of("ytvis19-r50-semi-online").usage
    assert "genvis convert FILE.pth ytvis19-r50-semi-online --categories youtube_vis_2019 --clip-length 3" in usage
    assert entry_of("videomt-s-ytvis2019").usage == "genvis predict VIDEO --weights videomt-s-ytvis2019"


def test_unknown_names_get_suggestions() -> None:
    assert find_entry("videomt-s-ytvis19") is None
    with pytest.raises(InputError, match=r"did you mean videomt-s-ytvis2019"):
        entry_of("videomt-s-ytvis19")


def test_the_table_lists_all_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    for entry in registry():
        assert entry.name in table
    row = next(line for line in table.splitlines() if line.startswith("videomt-s-ytvis2019"))
    for cell in ("videomt", "40", "52.8", "YouTube-VIS 2019 validation", "24.1 M", "96 MB", "MIT"):
        assert cell in row
    assert next(line for line in table.splitlines() if line.startswith("ytvis21-r50-online")).endswith("no weights")


def test_json_has_the_facts_of_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert len(listed) == len(registry())
    assert listed["sprites-tiny"]["place"] == "bundled"
    assert listed["ovis-swinl-online"]["average_precision"] == 45.2
    assert listed["ovis-swinl-online"]["place"] == "by hand"
    assert listed["vita-ovis-r50"]["average_precision"] is None
    assert [name for name, entry in listed.items() if entry["is_default"]] == [DEFAULT_MODEL]


def test_show_says_what_a_bundled_model_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "sprites-tiny"]) == 0
    shown = capsys.readouterr().out
    for part in ("Person, Bird, Cat", "shorter side 96 pixels", "it only knows emoji", "--weights sprites-tiny"):
        assert part in shown


@pytest.mark.parametrize(
    ("family", "preprocessing"),
    [
        ("videomt", "shorter side 448 pixels, longer side at most 1333, padded to multiples of 32"),
        ("mask2former", "shorter side 64 pixels, longer side at most 128, resized to multiples of 32"),
        ("eomt", "longer side 96 pixels, padded to a square"),
        ("rf_detr", "resized to 96x96 pixels, whatever their aspect"),
    ],
)
def test_show_reads_the_folders_of_every_family(
    family: str, preprocessing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_family(tmp_path / "model", family)
    capsys.readouterr()
    assert main(["models", "show", str(tmp_path / "model")]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"family: +{family}\n", shown)
    assert preprocessing in shown
    assert "cat, dog, boat" in shown


def test_show_says_where_published_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "ytvis19-r50-online"]) == 0
    shown = capsys.readouterr().out
    assert "50.0 on YouTube-VIS 2019 validation" in shown
    assert "not on the Hub: download the file in a browser from https://github.com/miranheo/GenVIS" in shown
    assert "giant_panda" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "nothing"], "There is no pretrained model 'nothing'"),
        (["fetch", "sprites-tiny"], "there is nothing to fetch"),
        (["fetch", "ovis-r50-online"], "not on the Hub"),
        (["fetch", "a/b", "c/d", "--out", "x"], "--out takes one model, not 2"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *words]) == 2
    sentence = capsys.readouterr().err
    assert message in sentence
    assert len(sentence.splitlines()) == 1


def test_a_model_without_weights_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry_of("ytvis21-r50-online").usage == ""
    assert main(["models", "fetch", "ytvis21-r50-online"]) == 2
    assert "the authors publish the AP but no weights: choose another model" in capsys.readouterr().err


DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


def document() -> str:
    if not DOCUMENT.is_file():
        pytest.skip("the documents are not part of this distribution")
    return DOCUMENT.read_text(encoding="utf-8")


def row(entry: RegistryEntry) -> str:
    place = "in the package" if entry.is_bundled else "by hand" if entry.has_weights else "none"
    assert entry.parameters is not None
    cells = (
        f"`{entry.name}`",
        entry.trained_on,
        str(entry.num_categories),
        "" if entry.average_precision is None else f"{entry.average_precision:.1f}, {entry.measured_on}",
        f"{entry.parameters / 1e6:.1f} M, {megabytes(entry.size_in_bytes)}",
        entry.licence,
        f"`{entry.hub_id}`" if entry.hub_id else place,
    )
    return f"| {' | '.join(cells)} |"


def test_the_document_has_the_facts_of_the_registry() -> None:
    given = [line for line in document().splitlines() if line.startswith("| `") and line.count("|") == 8]
    assert given == [row(entry) for entry in registry()]


def test_names_in_the_document_exist() -> None:
    for name in re.findall(r"(?:--weights |load\(\"|fetch |show )([a-z][\w-]+-[\w-]+)", document()):
        assert find_entry(name) or name == "videomt-s", name
