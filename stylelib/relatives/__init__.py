"""The paper and its relatives: L-BFGS, reconstructions, conventions (chapters 9 to 12)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "assignment",
        "conventions",
        "inversion",
        "modules",
        "paper",
        "quasi_newton",
        "texture",
    ],
)
