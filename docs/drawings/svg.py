"""A few shapes of SVG, on a panel that is legible on light and dark pages."""

from html import escape
from pathlib import Path

INK, GREY, PALE, PANEL = "#1f2933", "#7b8794", "#e4e7eb", "#fbfcfd"
COLOURS = ("#d1495b", "#2e86ab", "#e8a13a", "#5b8c5a", "#7d5ba6")
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"


class Drawing:
    """Shapes in the order in which they are drawn.

    Args:
        width: Pixels.
        height: Pixels.
        title: What the picture shows, for those who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._shapes: list[str] = []

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        text: str = "",
        *,
        fill: str = "white",
        stroke: str = INK,
        dashed: bool = False,
        radius: float = 6,
        small: str = "",
    ) -> None:
        """Add a rectangle with a word, and a smaller one below it."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}" '
            f'stroke="{stroke}" stroke-width="1.4"{dash}/>'
        )
        middle = y + height / 2
        if text:
            self.text(x + width / 2, middle + (5 if not small else -2), text, anchor="middle")
        if small:
            self.text(x + width / 2, middle + 15, small, anchor="middle", size=11, fill=GREY)

    def dot(
        self, x: float, y: float, *, fill: str = "white", stroke: str = INK, radius: float = 11, text: str = ""
    ) -> None:
        """Add a circle with a word in it."""
        self._shapes.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{stroke}" stroke-width="1.4"/>'
        )
        if text:
            self.text(x, y + 4, text, anchor="middle", size=11, fill="white" if fill not in ("white", PALE) else INK)

    def arrow(self, *points: tuple[float, float], stroke: str = INK, width: float = 1.5, dashed: bool = False) -> None:
        """Add a line of several points, with a head at its end."""
        path = " L ".join(f"{x:g} {y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._shapes.append(
            f'<path d="M {path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{dash} marker-end="url(#head)"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        size: float = 13,
        fill: str = INK,
        bold: bool = False,
    ) -> None:
        """Add words."""
        weight = ' font-weight="600"' if bold else ""
        self._shapes.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" fill="{fill}"{weight}>'
            f"{escape(words)}</text>"
        )

    def save(self, path: Path) -> None:
        """Write the picture."""
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
            'markerUnits="userSpaceOnUse" orient="auto">'
            f'<path d="M 0 0 L 8 4 L 0 8 z" fill="{INK}"/></marker>'
        )
        size = f"{self._width} {self._height}"
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" font-family="{FONT}">',
            f"<title>{escape(self._title)}</title>",
            f"<defs>{head}</defs>",
            f'<rect width="{self._width}" height="{self._height}" rx="10" fill="{PANEL}" stroke="{PALE}"/>',
            *self._shapes,
            "</svg>",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
