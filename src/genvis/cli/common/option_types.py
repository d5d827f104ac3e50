"""Types of options that several verbs share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def _at_commas(_type: Any, tokens: Sequence[Any]) -> list[str]:
    return [word.strip() for token in tokens for word in token.value.split(",") if word.strip()]


Out = Annotated[Path, Parameter(alias="-o")]
"""Where outputs go: ``--out`` or ``-o``."""

AsJson = Annotated[bool, Parameter(name="--json")]
"""Whether to print JSON for programs instead of a table."""

Place = Annotated[str, Parameter(alias="-o")]
"""Where outputs go, here or in a store (``s3://bucket/out``): ``--out`` or ``-o``."""

Words = Annotated[list[str], Parameter(converter=_at_commas)]
"""Words with commas between them: ``--classes cat,dog``; the option may also be repeated."""
