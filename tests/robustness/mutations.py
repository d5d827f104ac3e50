"""Damage to files: of their bytes, and of the values of structured documents."""

import copy
import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from xml.etree import ElementTree

EXTREMES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    0.5,
    64.0,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    1e9,
    1e308,
    -1e-300,
    math.nan,
    math.inf,
    -math.inf,
    "",
    " ",
    "x",
    "1",
    "-1",
    "nan",
    "1e999",
    "\x00",
    "a\nb",
    "\ud800",
    "ﬁ\u202e\u0000",
    "../../../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "con",
    "x" * 5000,
    "9" * 5000,
    [],
    {},
    [None],
    [[]],
    [[[[]]]],
    {"": None},
    [0, 0, 0, 0],
    [1e308, 1e308, 1e308, 1e308],
    [math.nan] * 4,
)
"""Values that no field expects, or only some."""


# --------------------------------------------------------------------------------------------------------- bytes


def damage(data: bytes, random: Random) -> tuple[bytes, str]:
    """Return the bytes with one to three damages, and what they are."""
    names = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        damages = (flip_bits, truncate, zero_block, swap_blocks, duplicate_block, remove_block, overwrite_block)
        function = random.choice(damages)
        data = function(data, random)
        names.append(function.__name__)
    return data, "+".join(names)


def flip_bits(data: bytes, random: Random) -> bytes:
    """Flip single bits: few, or one of some thousand bytes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 2, 8, 1 + len(data) // 5000, 1 + len(data) // 500)) if data else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def truncate(data: bytes, random: Random) -> bytes:
    """Cut the end off: anything, or the last bytes."""
    return data[: random.randrange(len(data) + 1) if random.random() < 0.7 else -random.randint(1, 64)]


def zero_block(data: bytes, random: Random) -> bytes:
    """Set a block to zero, as holes of a file system are."""
    start, stop = _block(data, random)
    return data[:start] + bytes(stop - start) + data[stop:]


def overwrite_block(data: bytes, random: Random) -> bytes:
    """Fill a block with ones or noise."""
    start, stop = _block(data, random)
    filling = b"\xff" * (stop - start) if random.random() < 0.5 else random.randbytes(stop - start)
    return data[:start] + filling + data[stop:]


def swap_blocks(data: bytes, random: Random) -> bytes:
    """Swap two blocks of one length."""
    start, stop = _block(data, random)
    other = random.randrange(len(data) - (stop - start) + 1)
    if abs(other - start) < stop - start:
        return data
    changed = bytearray(data)
    changed[start:stop], changed[other : other + stop - start] = data[other : other + stop - start], data[start:stop]
    return bytes(changed)


def duplicate_block(data: bytes, random: Random) -> bytes:
    """Insert a block once more."""
    start, stop = _block(data, random)
    return data[:stop] + data[start:stop] + data[stop:]


def remove_block(data: bytes, random: Random) -> bytes:
    """Take a block out."""
    start, stop = _block(data, random)
    return data[:start] + data[stop:]


def _block(data: bytes, random: Random) -> tuple[int, int]:
    length = min(len(data), random.choice((1, 4, 16, 64, 188, 512, 4096, 1 + len(data) // 10, 1 + len(data) // 4)))
    start = random.randrange(len(data) - length + 1)
    return start, start + length


# ----------------------------------------------------------------------------------------------------- documents


def mutate(document: Any, random: Random) -> tuple[Any, str]:
    """Return a copy of a JSON-like document with one to three changed values, and what they are."""
    document = copy.deepcopy(document)
    said = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(document, ()))
        if not places:
            return random.choice(EXTREMES), "whole document"
        parent, key, path = random.choice(places)
        change = random.choice((_extreme, _extreme, _extreme, _drop, _retype, _repeat, _exchange, _scale, _nest))
        change(parent, key, document, random)
        said.append(f"{change.__name__[1:]} {'/'.join(map(str, path))}")
    return document, ", ".join(said)


def _places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key, (*path, key)
        yield from _places(node[key], (*path, key))


def _extreme(parent: Any, key: Any, _document: Any, random: Random) -> None:
    parent[key] = copy.deepcopy(random.choice(EXTREMES))


def _drop(parent: Any, key: Any, _document: Any, _random: Random) -> None:
    del parent[key]


def _retype(parent: Any, key: Any, _document: Any, random: Random) -> None:
    value = parent[key]
    parent[key] = random.choice((str(value)[:9999], [value], {"value": value}, {str(value)[:99]: value}, [value] * 3))


def _repeat(parent: Any, key: Any, _document: Any, random: Random) -> None:
    times = random.choice((1, 1, 2, 1000))
    if isinstance(parent, list):
        parent[key:key] = [copy.deepcopy(parent[key]) for _ in range(times)]
    elif isinstance(parent[key], (str, list)):
        parent[key] = parent[key] * (times + 1)
    else:
        parent[f"{key}_"] = parent[key]


def _exchange(parent: Any, key: Any, document: Any, random: Random) -> None:
    other, place, _ = random.choice(list(_places(document, ())))
    parent[key] = copy.deepcopy(other[place])


def _scale(parent: Any, key: Any, _document: Any, random: Random) -> None:
    value = parent[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        parent[key] = value * random.choice((-1, 2, 10, 100, 2**31, 2**62, 10**200, 0.3))
    elif isinstance(value, str) and value:
        place = random.randrange(len(value))
        parent[key] = value[:place] + random.choice(("", "\x7f", "0", "~", "ß", value)) + value[place + 1 :]


def _nest(parent: Any, key: Any, _document: Any, random: Random) -> None:
    value = parent[key]
    for _ in range(random.choice((1, 2, 60))):
        value = [value] if random.random() < 0.8 else {"a": value}
    parent[key] = value


def json_bytes(document: Any, random: Random) -> bytes:
    """Write a document as JSON, most often in UTF-8 and sometimes in ways that a reader may not expect."""
    text = json.dumps(document, ensure_ascii=random.random() < 0.5)
    kind = random.random()
    if kind < 0.85:
        return text.encode("utf-8", "surrogatepass")
    unusual: tuple[Callable[[str], bytes], ...] = (
        lambda value: value.encode("utf-16", "surrogatepass"),
        lambda value: value.encode("utf-32", "surrogatepass"),
        lambda value: b"\xef\xbb\xbf" + value.encode("utf-8", "surrogatepass"),
        lambda value: value.encode("latin-1", "replace"),
        lambda value: (value + value).encode("utf-8", "surrogatepass"),
        lambda value: value.replace("1", "1" * 5000, 1).encode("utf-8", "surrogatepass"),
        lambda value: ("[" * 100_000 + value).encode("utf-8", "surrogatepass"),
        lambda value: value.replace(":", ": -", 1).encode("utf-8", "surrogatepass"),
        lambda value: value.replace(":", ": NaN,", 1).encode("utf-8", "surrogatepass"),
        lambda value: b"\x00" * 4096,
        lambda _: b"",
    )
    return random.choice(unusual)(text)


def mutate_json(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a JSON file: its values in three of four cases, else its bytes."""
    if random.random() < 0.25:
        return damage(data, random)
    document, said = mutate(json.loads(data), random)
    return json_bytes(document, random), said


def mutate_xml(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage an XML file: attributes, texts and elements in three of four cases, else its bytes."""
    if random.random() < 0.25:
        return damage(data, random)
    root = ElementTree.fromstring(data)
    said = []
    for _ in range(random.choice((1, 1, 2, 3))):
        parents = [(parent, child) for parent in root.iter() for child in parent]
        parent, node = random.choice(parents)
        kind = random.choice(("attribute", "attribute", "attribute", "text", "drop", "repeat", "move", "rename"))
        said.append(f"{kind} {node.tag}")
        if kind == "attribute" and node.attrib:
            name = random.choice(list(node.attrib))
            if random.random() < 0.2:
                del node.attrib[name]
            else:
                node.attrib[name] = _xml_value(node.attrib[name], random)
        elif kind == "text":
            node.text = _xml_value(node.text or "", random)
        elif kind == "drop":
            parent.remove(node)
        elif kind == "repeat":
            for _ in range(random.choice((1, 2, 300))):
                parent.append(copy.deepcopy(node))
        elif kind == "move":
            random.choice(list(root.iter())).append(copy.deepcopy(node))
        elif kind == "rename":
            node.tag = random.choice([other.tag for other in root.iter()])
    return ElementTree.tostring(root), ", ".join(said)


def _xml_value(value: str, random: Random) -> str:
    extremes = [item for item in EXTREMES if not isinstance(item, str) or ("\x00" not in item and "\ud800" not in item)]
    if random.random() < 0.5:
        return str(random.choice(extremes))
    parts = value.split(random.choice((",", ";", ".")))
    parts[random.randrange(len(parts))] = str(random.choice(extremes))
    return ",".join(parts)


def mutate_lines(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a text of columns: one field of one line in three of four cases, else its bytes."""
    lines = data.decode().splitlines()
    if random.random() < 0.25 or not lines:
        return damage(data, random)
    number = random.randrange(len(lines))
    fields = lines[number].split(" ")
    place = random.randrange(len(fields))
    kind = random.choice(("extreme", "drop", "repeat", "line"))
    if kind == "extreme":
        fields[place] = str(random.choice(EXTREMES))
    elif kind == "drop":
        del fields[place]
    elif kind == "repeat":
        fields[place:place] = [fields[place]]
    lines[number] = " ".join(fields)
    if kind == "line":
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    return "\n".join(lines).encode("utf-8", "surrogatepass"), f"{kind} line {number} field {place}"


# -------------------------------------------------------------------------------------------- formats with parts


def mutate_png(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a PNG: sizes, depth and kind of its header with a right checksum in half of the cases, else its bytes."""
    if random.random() < 0.5:
        return damage(data, random)
    header = bytearray(data[16:29])
    field = random.choice(("width", "height", "depth", "colour", "interlace"))
    sizes = (0, 1, 63, 65, 1000, 20_000, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
    if field in ("width", "height"):
        struct.pack_into(">I", header, 0 if field == "width" else 4, random.choice(sizes))
    else:
        header[{"depth": 8, "colour": 9, "interlace": 12}[field]] = random.choice((0, 1, 2, 3, 4, 5, 6, 8, 16, 255))
    crc = zlib.crc32(b"IHDR" + header)
    return data[:16] + bytes(header) + struct.pack(">I", crc) + data[33:], f"header {field}"


def mutate_safetensors(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a safetensors file: values of its JSON header in two of three cases, else its bytes."""
    if random.random() < 0.33:
        return damage(data, random)
    length = int.from_bytes(data[:8], "little")
    sound = json.loads(data[8 : 8 + length])
    header, said = mutate(sound, random)
    facts = sound.get("__metadata__", {})
    if facts and random.random() < 0.7:  # The facts of our states are JSON within JSON.
        for name, text in facts.items():
            if text.startswith("{"):
                inner, said = mutate(json.loads(text), random)
                header = {**sound, "__metadata__": {**facts, name: json.dumps(inner)}}
    written = json.dumps(header).encode("utf-8", "surrogatepass")
    return len(written).to_bytes(8, "little") + written + data[8 + length :], f"header: {said}"
