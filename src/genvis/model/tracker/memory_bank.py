"""Instance prototype memory: keys and values of past clips, by instance query (paper, section 3.3)."""

from typing import Self

import torch
from torch import Tensor


class PrototypeMemory:
    """Keys and values of the instance prototypes of past clips: an immutable sequence that is cheap to extend.

    `append` returns a memory with one more clip and leaves this one as it was. Both may share one buffer, of which each
    sees its own stretch: so a clip costs amortised constant time, also in a memory of a bounded number of clips, whose
    stretch slides. A memory that is extended a second time gets a buffer of its own.

    A query that was released starts anew: its clips so far are masked (`is_filled`), for the read of the same query as
    for the global one, exactly as if the memory had begun for it then.

    Args:
        keys: (B, M, Q, C), oldest clip first.
        values: (B, M, Q, C).
        own_clips: (B, Q) int64, how many of the latest clips belong to what a query holds now; None for all M.
    """

    def __init__(self, keys: Tensor, values: Tensor, own_clips: Tensor | None = None) -> None:
        self._keys, self._values = keys, values
        self.own_clips = own_clips
        self._held = range(keys.shape[1])  # Which places of the buffer this memory sees.
        self._used = [keys.shape[1]]  # Shared by all memories on the same buffer: how much of it is taken.

    @classmethod
    def empty(cls, *, batch: int, num_queries: int, hidden_dim: int, like: Tensor) -> Self:
        """Return a memory of no clips, on the device and of the type of ``like``."""
        nothing = like.new_empty(batch, 0, num_queries, hidden_dim)
        return cls(nothing, nothing)

    def __len__(self) -> int:
        """M, the number of clips held."""
        return len(self._held)

    @property
    def keys(self) -> Tensor:
        """(B, M, Q, C), oldest clip first."""
        return self._keys[:, self._held.start : self._held.stop]

    @property
    def values(self) -> Tensor:
        """(B, M, Q, C), oldest clip first."""
        return self._values[:, self._held.start : self._held.stop]

    @property
    def is_filled(self) -> Tensor | None:
        """Which places are to be read, (B, M, Q) bool; None for all, as long as no query was released."""
        if self.own_clips is None:
            return None
        age = torch.arange(len(self), 0, -1, device=self.own_clips.device)  # (M,), the latest clip has 1
        return age[:, None] <= self.own_clips[:, None]

    def released(self, queries: Tensor) -> "PrototypeMemory":
        """Return this memory without the past of some queries.

        Args:
            queries: (Q,) bool, on the device of the memory.
        """
        own = self.own_clips
        if own is None:
            batch, _, count, _ = self._keys.shape
            own = torch.full((batch, count), len(self), device=self._keys.device)
        return self._view(self._keys, self._values, self._held, self._used, own.masked_fill(queries, 0))

    def append(self, key: Tensor, value: Tensor, *, limit: int | None = None) -> "PrototypeMemory":
        """Return this memory with one more clip.

        Args:
            key: (B, Q, C).
            value: (B, Q, C).
            limit: Keep only this many of the latest clips; None keeps all.
        """
        kept = self._held if limit is None or len(self) < limit else self._held[len(self) - limit + 1 :]
        own = None if self.own_clips is None else (self.own_clips + 1).clamp(max=len(kept) + 1)
        if torch.is_grad_enabled():  # Writing in place would break the graph of the shorter memories.
            places = slice(kept.start, kept.stop)
            return PrototypeMemory(
                torch.cat([self._keys[:, places], key[:, None]], dim=1),
                torch.cat([self._values[:, places], value[:, None]], dim=1),
                own,
            )
        return self._append_in_place(kept, key, value, own)

    def _append_in_place(self, kept: range, key: Tensor, value: Tensor, own: Tensor | None) -> "PrototypeMemory":
        has_room = self._keys.shape[1] > kept.stop and self._used[0] == kept.stop
        # A buffer made in inference mode cannot be written to outside of it.
        is_writable = torch.is_inference_mode_enabled() or not self._keys.is_inference()
        if has_room and is_writable:
            longer = self._view(self._keys, self._values, range(kept.start, kept.stop + 1), self._used, own)
        else:
            length = len(kept)
            shape = (key.shape[0], length + max(16, length // 4), *key.shape[1:])
            longer = PrototypeMemory(key.new_empty(shape), value.new_empty(shape), own)
            longer._keys[:, :length] = self._keys[:, kept.start : kept.stop]
            longer._values[:, :length] = self._values[:, kept.start : kept.stop]
            longer._held = range(length + 1)
        place = longer._held.stop - 1
        longer._keys[:, place] = key
        longer._values[:, place] = value
        longer._used[0] = longer._held.stop
        return longer

    @classmethod
    def _view(
        cls, keys: Tensor, values: Tensor, held: range, used: list[int], own_clips: Tensor | None
    ) -> "PrototypeMemory":
        """Return a memory that sees a stretch of a buffer that others see too."""
        memory = cls(keys, values, own_clips)
        memory._held, memory._used = held, used
        return memory
