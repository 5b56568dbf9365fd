"""Holds a device's memory until its input ends: `python -m tests.cuda_device.hold MIB_LEFT`.

Says so with a line, which tells the bytes that are free then.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Take memory by plain allocations, ever smaller ones."""
    import torch

    left = int(sys.argv[1]) << 20
    held = []
    size = 1 << 34
    while size >= 1 << 20:
        free, _ = torch.cuda.mem_get_info()
        if free - size < left:
            size //= 2
            continue
        try:
            held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            size //= 2
    print(torch.cuda.mem_get_info()[0], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
