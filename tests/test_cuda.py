"""CUDA's libraries that come as Python packages are found by whoever opens them by name."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import ctypes
from worker import cuda
try:
    ctypes.CDLL("libcublas.so.12")
except OSError:
    print("not found")
cuda.preload()
ctypes.CDLL("libcublas.so.12")
print("found")
"""


def test_what_the_packages_bring_is_found_by_name_after_it_was_preloaded() -> None:
    environment = {"PATH": "", "HOME": "/"}  # no LD_LIBRARY_PATH
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[-2] == "found"
