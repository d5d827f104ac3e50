import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genvis.data.annotations import json_records
from genvis.data.annotations.json_records import iterate_records
from genvis.errors import InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    document=st.dictionaries(st.sampled_from(["videos", "annotations", "info", 'é"\\']), st.lists(VALUES, max_size=5)),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
@example(document={"videos": [1.3212129910261478e16, 5]}, chunk=1, indent=None, ascii_only=True)
def test_records_are_those_of_the_whole_document_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.mktemp("json") / "file.json"
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    names = ("videos", "annotations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "_CHUNK", chunk)
        records = list(iterate_records(path, names))
    assert records == [(name, value) for name, values in document.items() if name in names for value in values]


def _error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(iterate_records(path, ("videos",)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"videos": [{"id": 1}, {"id": ', "not valid JSON"),
        ('{"videos": [{"id": 1} {"id": 2}]}', r"Expecting ',' at character 22"),
        ('{"videos": [1, nonsense, ' + "2, " * 50 + "3]}", "Expecting value at character 15"),
        ("", "holds nothing"),
        ('{"videos": [1]', "not valid JSON"),
        ("[1, 2]", "a list, as results are"),
        ('"videos"', "a single value"),
        ('{"videos": {"1": 2}}', "is not a list"),
        ('{"videos": [1], "videos": [2]}', "has 'videos' twice"),
        ('{"videos": 3, ', "is not a list"),
        ('{"videos": ' + "[" * 100_000, "nested too deeply"),
        ('{"videos": [' + "1" * 5000 + "]}", "4300 digits"),
    ],
)
def test_damaged_files_are_named_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    message = _error(path)
    assert said in message
    assert str(path) in message


def test_a_missing_or_binary_file_is_an_error(tmp_path: Path) -> None:
    assert "There is no file" in _error(tmp_path / "absent.json")
    assert "is a folder" in _error(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    assert "is a pipe or a device" in _error(tmp_path / "pipe.json")
    packed = tmp_path / "packed.json"
    packed.write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    assert "unpacked" in _error(packed)


def test_null_is_an_empty_list_and_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b'\xef\xbb\xbf{"annotations": null, "videos": [7]}')
    assert list(iterate_records(path, ("annotations", "videos"))) == [("videos", 7)]
