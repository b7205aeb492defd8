"""What tests and doctests compute with, whatever the machine and its shell have set up: the
processor. They are the same tests everywhere; only tests/test_accelerator.py tries another
device, where STYLELIB_TEST_DEVICE names one.
"""

import os

if "STYLELIB_TEST_DEVICE" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = (
        ""  # before PyTorch is imported; subprocesses inherit it
    )
os.environ["STYLELIB_DEVICE"] = "cpu"
for name in ("STYLELIB_PRECISION", "STYLELIB_PROFILE"):
    os.environ.pop(name, None)
