"""Paint the images that the README and the first two pages show: `make pictures`."""

import sys
from pathlib import Path

from stylelib import load_image, samples, save_image, transfer

IMAGES = Path("book/images")
HOKUSAI, VAN_GOGH, KANDINSKY = (
    IMAGES / f"{name}.jpg"
    for name in (
        "hokusai-great-wave-1831",
        "van-gogh-village-street-auvers-1890",
        "kandinsky-composition-viii-1923",
    )
)
PAIRS = {
    "temple-hokusai": (load_image(IMAGES / "temple.jpg"), HOKUSAI),
    "cat-van-gogh": (samples.load("chelsea"), VAN_GOGH),
    "coffee-kandinsky": (samples.load("coffee"), KANDINSKY),
}


def main(folder: Path) -> None:
    """Paint each pair at 512 pixels and save it as a small JPEG."""
    folder.mkdir(exist_ok=True)
    for name, (photo, painting) in PAIRS.items():
        result = transfer(photo, painting, image_shape=512, effort="draft")
        save_image(result.image, folder / f"{name}.jpg", quality=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
