"""Report of a benchmark, as a table and as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

NETWORK_PARTS = ("backbone", "pixel decoder", "frame decoder", "tracker")


@dataclass(frozen=True)
class PartReport:
    """One part, for one frame.

    Attributes:
        name: Of the part.
        milliseconds: Median over the clips.
        gigaflop: Floating-point operations (multiplication and addition are two) of its matrix products, convolutions
            and attention, in 1e9.
    """

    name: str
    milliseconds: float
    gigaflop: float

    @property
    def speed(self) -> float:
        """GFLOP/s."""
        return 1000 * self.gigaflop / self.milliseconds


@dataclass(frozen=True)
class ReferenceReport:
    """Comparison with the forward pass of transformers' Mask2Former on the same frames, measured alternately.

    Attributes:
        milliseconds: Of that forward pass, for one frame.
        ratio: Time of everything from the frame to the output masks, divided by that.
    """

    milliseconds: float
    ratio: float


@dataclass(frozen=True)
class BenchReport:
    """Report of a benchmark.

    Attributes:
        model: Its name.
        frame_size: Height and width of the video.
        network_size: Height and width at which the network sees it, before padding.
        clip_length: Frames that go through the network together.
        dtype: Of the network, for example ``float32``.
        implementation: ``optimized`` or ``reference``, see `genvis.model.detector.mask2former.Mask2FormerDetector`.
        clips: How many clips were measured.
        machine: See `genvis.benchmarking.machine.Machine`.
        parts: In the order in which they run.
        peak_memory: In megabytes, of the process and perhaps of the device.
        reference: If asked for.
    """

    model: str
    frame_size: tuple[int, int]
    network_size: tuple[int, int]
    clip_length: int
    dtype: str
    implementation: str
    clips: int
    machine: dict[str, Any]
    parts: tuple[PartReport, ...]
    peak_memory: dict[str, float]
    reference: ReferenceReport | None

    @property
    def frames_per_second(self) -> float:
        """If all parts run one after the other."""
        return 1000 / sum(part.milliseconds for part in self.parts)

    @property
    def network(self) -> PartReport:
        """All parts of the network together."""
        parts = [part for part in self.parts if part.name in NETWORK_PARTS]
        return PartReport("network", sum(part.milliseconds for part in parts), sum(part.gigaflop for part in parts))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        fields = asdict(self)
        fields["frames_per_second"] = self.frames_per_second
        fields["network"] = asdict(self.network) | {"gigaflop_per_second": self.network.speed}
        for entry, part in zip(fields["parts"], self.parts, strict=True):
            entry["gigaflop_per_second"] = part.speed
        return fields

    def table(self) -> Table:
        """Return the table that the command prints."""
        height, width = self.network_size
        product = float(self.machine["matrix_product"])
        title = f"{self.model}, {height}x{width}, clips of {self.clip_length}, {self.dtype}, {self.implementation}"
        table = Table(title=title, title_justify="left")
        for column in ("part", "ms/frame", "share", "GFLOP", "GFLOP/s", "of matrix product"):
            table.add_column(column, justify="left" if column == "part" else "right")
        total = sum(part.milliseconds for part in self.parts)
        whole = PartReport("all", total, sum(part.gigaflop for part in self.parts))
        for part in (*self.parts, self.network, whole):
            table.add_row(
                part.name,
                f"{part.milliseconds:.1f}",
                f"{part.milliseconds / total:.0%}",
                f"{part.gigaflop:.1f}" if part.gigaflop else "",
                f"{part.speed:.0f}" if part.gigaflop else "",
                f"{part.speed / product:.0%}" if part.gigaflop else "",
                end_section=part is self.parts[-1],
            )
        table.caption = "\n".join(self.summary())
        table.caption_justify = "left"
        return table

    def summary(self) -> list[str]:
        """Return sentences that go with the table, one a line."""
        machine = self.machine
        peaks = ", ".join(f"{megabytes:.0f} MB ({of})" for of, megabytes in self.peak_memory.items())
        cores = f"{machine['threads']} threads on {machine['cores']} cores"
        lines = [
            f"{self.frames_per_second:.2f} frames/s one after the other, peak memory {peaks}",
            f"{machine['processor']}, {cores}, matrix product {machine['matrix_product']:.0f} GFLOP/s",
            str(machine["system"]),
        ]
        if machine["load"] is not None and machine["load"] > machine["cores"] / 2:
            lines.append(f"The machine was busy before (load {machine['load']:.1f}): repeat this when it is quiet.")
        if self.reference is not None:
            lines.append(
                f"transformers' Mask2Former alone: {self.reference.milliseconds:.1f} ms/frame; "
                f"frame to masks takes {self.reference.ratio:.2f} of that"
            )
        return lines
