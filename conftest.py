"""What tests and doctests compute with, whatever the machine and its shell have set up: the
processor. They are the same tests everywhere; the library's other devices are not tried here.
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before PyTorch is imported; subprocesses inherit it
os.environ["STYLELIB_DEVICE"] = "cpu"
for name in ("STYLELIB_PRECISION", "STYLELIB_PROFILE"):
    os.environ.pop(name, None)
