"""Paint the image of 4,096 x 2,731 pixels that chapter 30 shows: `make large`, half an hour."""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from stylelib import save_image, transfer
from stylelib.callbacks import ProgressBar

IMAGES = Path("book/images")
SETTINGS: dict[str, Any] = {
    "image_shape": (2731, 4096),
    "style_shape": 1000,
    "memory": 12.0,
    "steps": [30] * 5 + [20, 10, 6, 4],
}
CORNERS = ((1700, 500), (2400, 1200), (600, 1900), (3200, 300))
"""(x, y) of the details, top left."""
WIDTH, GAP = 1000, 4
DETAIL = (WIDTH - 3 * GAP) // 4


def with_details(image: Image.Image) -> Image.Image:
    """The image in small, and four details of it in its own pixels below."""
    height = round(image.height * WIDTH / image.width)
    sheet = Image.new("RGB", (WIDTH, height + GAP + DETAIL), "white")
    sheet.paste(image.resize((WIDTH, height), Image.Resampling.LANCZOS))
    for k, (x, y) in enumerate(CORNERS):
        detail = image.crop((x, y, x + DETAIL, y + DETAIL))
        sheet.paste(detail, (k * (DETAIL + GAP), height + GAP))
    return sheet


def main(folder: Path) -> None:
    """Paint it, and write the sheet and what it took."""
    folder.mkdir(exist_ok=True)
    bar = ProgressBar()
    photograph, painting = (
        IMAGES / f"{name}.jpg" for name in ("temple", "van-gogh-village-street-auvers-1890")
    )
    result = transfer(photograph, painting, callback=bar, **SETTINGS)
    bar.close()
    took = {
        **SETTINGS,
        "seconds": round(result.history[-1].seconds),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "threads": torch.get_num_threads(),
        "precision": result.settings["precision"],
    }
    (folder / "four-thousand.json").write_text(json.dumps(took, indent=1) + "\n")
    save_image(with_details(result.image), folder / "four-thousand.jpg", quality=82)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
