"""Neural style transfer, one readable module a chapter of *Painting with Gradients*.

Example:
    >>> from stylelib import samples, transfer
    >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
    >>> result = transfer(photo, style, image_shape=64, steps=5)
    >>> result.image.size
    (96, 64)
"""

import lazy_loader

# `stylelib/__init__.pyi` says where each name is. It is imported when it is first asked for, so
# that what needs no PyTorch comes without it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
