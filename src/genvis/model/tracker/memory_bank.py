"""Instance prototype memory: keys and values of past clips, by instance query (paper, section 3.3)."""

from typing import Self

import torch
from torch import Tensor


class PrototypeMemory:
    """Keys and values of the instance prototypes of past clips: an immutable sequence that is cheap to extend.

    `append` returns a longer memory and leaves this one as it was. Both may share one growing buffer, so that a long
    video costs amortised constant time a clip; a memory that is extended a second time gets a buffer of its own.

    Args:
        keys: (B, M, Q, C), oldest clip first.
        values: (B, M, Q, C).
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self._keys, self._values = keys, values
        self._length = keys.shape[1]
        self._used = [self._length]  # Shared by all memories on the same buffer: how much of it is taken.

    @classmethod
    def empty(cls, *, batch: int, num_queries: int, hidden_dim: int, like: Tensor) -> Self:
        """Return a memory of no clips, on the device and of the type of ``like``."""
        nothing = like.new_empty(batch, 0, num_queries, hidden_dim)
        return cls(nothing, nothing)

    def __len__(self) -> int:
        """M, the number of clips held."""
        return self._length

    @property
    def keys(self) -> Tensor:
        """(B, M, Q, C), oldest clip first."""
        return self._keys[:, : self._length]

    @property
    def values(self) -> Tensor:
        """(B, M, Q, C), oldest clip first."""
        return self._values[:, : self._length]

    def append(self, key: Tensor, value: Tensor, *, limit: int | None = None) -> "PrototypeMemory":
        """Return this memory with one more clip.

        Args:
            key: (B, Q, C).
            value: (B, Q, C).
            limit: Keep only this many of the latest clips; None keeps all.
        """
        if limit is not None and self._length >= limit:
            kept = slice(self._length - limit + 1, self._length)
            return PrototypeMemory(
                torch.cat([self._keys[:, kept], key[:, None]], dim=1),
                torch.cat([self._values[:, kept], value[:, None]], dim=1),
            )
        if torch.is_grad_enabled():  # Writing in place would break the graph of the shorter memories.
            return PrototypeMemory(
                torch.cat([self.keys, key[:, None]], dim=1), torch.cat([self.values, value[:, None]], dim=1)
            )
        return self._append_in_place(key, value)

    def _append_in_place(self, key: Tensor, value: Tensor) -> "PrototypeMemory":
        longer = PrototypeMemory.__new__(PrototypeMemory)
        has_room = self._keys.shape[1] > self._length and self._used[0] == self._length
        # A buffer made in inference mode cannot be written to outside of it.
        is_writable = torch.is_inference_mode_enabled() or not self._keys.is_inference()
        if has_room and is_writable:
            longer._keys, longer._values, longer._used = self._keys, self._values, self._used
        else:
            room = max(16, self._length // 4)
            shape = (key.shape[0], self._length + room, *key.shape[1:])
            longer._keys, longer._values, longer._used = key.new_empty(shape), value.new_empty(shape), [0]
            longer._keys[:, : self._length] = self.keys
            longer._values[:, : self._length] = self.values
        longer._keys[:, self._length] = key
        longer._values[:, self._length] = value
        longer._length = longer._used[0] = self._length + 1
        return longer
