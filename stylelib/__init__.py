"""Neural style transfer, with a readable module per chapter of *Painting with Gradients*.

Example:
    >>> from stylelib import samples, transfer
    >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
    >>> result = transfer(photo, style, image_shape=64, steps=5)
    >>> result.image.size
    (96, 64)
"""

import lazy_loader

# `stylelib/__init__.pyi` says which module defines each name. A name is imported when it is
# first used, so names that do not need PyTorch do not load it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
