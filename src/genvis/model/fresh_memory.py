"""Fresh memory, which Linux has to clear page by page: how a process keeps what it has instead."""

import torch

# glibc raises its thresholds for blocks of up to 32 MB, with their header.
_BYTES = 33_500_000


def keep_freed_memory() -> None:
    """Make the C library keep freed memory of up to 64 MB for the next temporaries.

    glibc gives a freed block back to the system at once if it is larger than all blocks freed so far, up to 32 MB, and
    also what is free at the end of its heap beyond twice that. A network that frees blocks of 8 MB gets the same pages
    again and again, cleared: of VidEoMT-S's time, that was a sixth. So one block of nearly 32 MB is freed here. It is
    never written, so that it takes no memory, and a microsecond. Other C libraries do not notice.
    """
    torch.empty(_BYTES, dtype=torch.uint8)
