"""One live line: step, loss, AP, rate and time left; in a log file, a line now and then."""

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.live import Live
from rich.text import Text

_FORETELL_AFTER = 3  # Steps.
_LONG = 600.0  # Seconds.


class TrainingProgress(ProgressBar):
    """Prints how far the run is.

    Args:
        every: Steps between two lines where there is no terminal.
    """

    def __init__(self, *, every: int = 50) -> None:
        super().__init__()
        self._every = max(1, every)
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._begun = (0, 0.0)
        self._scores = ""

    def disable(self) -> None:
        """Say nothing; Lightning calls this on all processes but the first."""
        self._every = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._begun = (trainer.global_step, time.monotonic())
        if self._every and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Renew the line."""
        if not self._every or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        if trainer.global_step - self._begun[0] == _FORETELL_AFTER:
            self._foretell(trainer)
        if self._live is not None:
            self._live.update(Text(self.line(trainer)))
        elif trainer.global_step % self._every == 0:
            self._console.print(self.line(trainer), soft_wrap=True, highlight=False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the newest AP for the line, and leave a line with it behind."""
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if "_AP" in name}
        self._scores = "".join(f"  {name} {value:.1f}" for name, value in sorted(scores.items()))
        if self._every and scores:
            self._console.print(f"step {trainer.global_step:,}{self._scores}", soft_wrap=True, highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the line away."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the line away, so that the reason can be read."""
        self._stop()

    def line(self, trainer: Trainer) -> str:
        """Return the line."""
        step, last = trainer.global_step, trainer.max_steps
        done = step - self._begun[0]
        seconds = (time.monotonic() - self._begun[1]) / max(1, done)
        loss = trainer.callback_metrics.get("loss")
        shown = f"  loss {float(loss):.3f}" if loss is not None else ""
        return (
            f"step {step:,} of {last:,}{shown}{self._scores}  {_rate(seconds)}  {_time_left(seconds * (last - step))}"
        )

    def _foretell(self, trainer: Trainer) -> None:
        """Leave a line with the time that the run will take, if that is long."""
        seconds = (time.monotonic() - self._begun[1]) / _FORETELL_AFTER
        left = seconds * (trainer.max_steps - trainer.global_step)
        if left > _LONG:
            self._console.print(
                f"{trainer.max_steps - trainer.global_step:,} steps to go at {_rate(seconds)}: {_time_left(left)}. "
                "Ctrl-C stops; the same command continues.",
                soft_wrap=True,
                highlight=False,
            )

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _rate(seconds: float) -> str:
    return f"{seconds:.2f} s a step" if seconds >= 0.5 else f"{1 / max(seconds, 1e-9):.1f} steps a second"


def _time_left(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    return f"{minutes} min left" if minutes < 120 else f"{minutes / 60:.1f} h left"
