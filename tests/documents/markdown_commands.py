"""What a document tells its reader to type: commands of fenced blocks, and Python."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(genvis [^`\n]+)`")
EXTRAS = re.compile(r"\.\[([\w,-]+)\]")
PROGRAMS = ("genvis", "pip", "python", "pytest")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        place: Document and line.
        language: What stands after the fence; empty for commands.
        text: What is in it.
    """

    place: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a block of commands, without prompts, comments and what they print."""
        if self.language not in ("", "bash", "sh", "console"):
            return []
        lines = [re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip() for line in self.text.splitlines()]
        found = [line for line in lines if line.startswith(tuple(f"{program} " for program in PROGRAMS))]
        return [command.strip() for line in found for command in line.split("&&")]


def blocks_of(document: str) -> list[Block]:
    """Return the fenced blocks of a document, named relative to the project."""
    text = (ROOT / document).read_text("utf-8")
    return [
        Block(f"{document}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2])
        for match in FENCE.finditer(text)
    ]


def inline_commands(document: str) -> list[str]:
    """Return the commands that stand in running text."""
    return INLINE.findall(FENCE.sub("", (ROOT / document).read_text("utf-8")))


def extras_of(document: str) -> set[str]:
    """Return the extras that installation lines name, wherever they stand."""
    return {extra for group in EXTRAS.findall((ROOT / document).read_text("utf-8")) for extra in group.split(",")}
