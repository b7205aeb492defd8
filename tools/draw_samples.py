"""Draw the style images that ship with stylelib, each from a seed, with NumPy and Pillow.

    python tools/draw_samples.py stylelib/samples

After a change, measure the activation scales again (tools/measure_scales.py), because they are
measured on these images, among others.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float64]
HEIGHT, WIDTH, OVERSAMPLING = 400, 600, 2


def smooth_noise(rng: np.random.Generator, cells: int) -> Array:
    """A smooth random field, (HEIGHT, WIDTH), values 0..1, with about `cells` bumps from top to
    bottom.
    """
    coarse = rng.random((cells + 1, cells * WIDTH // HEIGHT + 1))
    field = np.asarray(
        Image.fromarray(np.float32(coarse)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC),
        float,
    )
    scaled: Array = (field - field.min()) / (field.max() - field.min())
    return scaled


def ramp(palette: list[str], t: Array) -> Array:
    """Colors of `palette`, interpolated at t in 0..1: shape t.shape + (3,), values 0..255."""
    stops = np.array(
        [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in palette], float
    )
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(t, at, stops[:, channel]) for channel in range(3)], axis=-1)


def canvas(color: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING), color)
    return image, ImageDraw.Draw(image)


def finish(image: Image.Image) -> Image.Image:
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def brushstrokes(rng: np.random.Generator) -> Image.Image:
    """Short thick strokes along swirls, from night blue to yellow."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    angle = 1.2 * (smooth_noise(rng, 3) - 0.5)
    light = 0.55 * smooth_noise(rng, 5)
    for cx, cy, radius, turn in [
        (150, 130, 85, 1),
        (395, 95, 55, -1),
        (480, 265, 95, 1),
        (270, 300, 60, -1),
    ]:
        distance = np.hypot(x - cx, y - cy)
        weight = np.exp(-((distance / radius) ** 2))
        tangent = np.arctan2(turn * (x - cx), -turn * (y - cy))
        angle = (1 - weight) * angle + weight * tangent
        light = light + 0.75 * np.exp(-((distance / (0.45 * radius)) ** 2))
        light = light + 0.22 * weight * np.cos(distance / radius * 9)
    palette = [
        "#0b1a45",
        "#123f85",
        "#1f6fb2",
        "#5aa6c8",
        "#a9cfc2",
        "#f3df8c",
        "#f8c537",
        "#fff3c4",
    ]
    image, draw = canvas("#0e2454")
    for px, py in zip(rng.uniform(0, WIDTH, 9000), rng.uniform(0, HEIGHT, 9000), strict=True):
        row, column = int(py), int(px)
        shade = np.clip(light[row, column] + rng.normal(0, 0.06), 0, 1)
        color = np.clip(ramp(palette, shade) + rng.normal(0, 9, 3), 0, 255)
        points = [(px, py)]
        for _ in range(int(rng.integers(3, 7))):
            row, column = (
                np.clip(int(points[-1][1]), 0, HEIGHT - 1),
                np.clip(int(points[-1][0]), 0, WIDTH - 1),
            )
            points.append(
                (
                    points[-1][0] + 3.4 * np.cos(angle[row, column]),
                    points[-1][1] + 3.4 * np.sin(angle[row, column]),
                )
            )
        scaled = [(OVERSAMPLING * a, OVERSAMPLING * b) for a, b in points]
        red, green, blue = (int(value) for value in color)
        draw.line(scaled, fill=(red, green, blue), width=int(rng.integers(5, 9)), joint="curve")
    return finish(image)


def mosaic(rng: np.random.Generator) -> Image.Image:
    """Small colored tiles with dark joints: the Voronoi cells of scattered points."""
    points = rng.uniform(0, 1, (1500, 2)) * (HEIGHT, WIDTH)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    pixels = np.stack([y.ravel(), x.ravel()], axis=1)

    def two_nearest(rows: Array) -> tuple[NDArray[np.intp], Array]:
        distance = np.sqrt(((rows[:, None] - points[None]) ** 2).sum(-1))
        nearest = np.argpartition(distance, 1, axis=1)[:, :2]
        ordered = np.sort(np.take_along_axis(distance, nearest, 1), axis=1)
        return distance.argmin(1), ordered

    for _ in range(
        2
    ):  # Lloyd's algorithm: move each point to the middle of its cell, for tiles of even size
        owner = np.concatenate([two_nearest(rows)[0] for rows in np.array_split(pixels, 60)])
        count = np.maximum(np.bincount(owner, minlength=len(points)), 1)
        points = np.stack(
            [np.bincount(owner, pixels[:, i], len(points)) / count for i in range(2)], axis=1
        )
    parts = [two_nearest(rows) for rows in np.array_split(pixels, 60)]
    owner = np.concatenate([part[0] for part in parts])
    near = np.concatenate([part[1] for part in parts])
    where = np.clip(points.astype(int), 0, (HEIGHT - 1, WIDTH - 1))
    wave = 0.5 + 0.5 * np.sin(7 * smooth_noise(rng, 3) + x / 95)
    shade = np.clip(wave[where[:, 0], where[:, 1]] + rng.normal(0, 0.09, len(points)), 0, 1)
    palette = ["#7a1f2b", "#c8452f", "#eb8f34", "#f4d58d", "#7fb7a4", "#2f7f86", "#1d4e6b"]
    tiles = ramp(palette, shade)[owner]
    joint = np.clip((near[:, 1] - near[:, 0] - 0.9) / 1.6, 0, 1)[:, None]
    glow = 1.08 - 0.025 * near[:, :1]
    picture = joint * np.clip(tiles * glow, 0, 255) + (1 - joint) * np.array([28.0, 24.0, 26.0])
    return Image.fromarray(picture.reshape(HEIGHT, WIDTH, 3).astype(np.uint8))


def hatching(rng: np.random.Generator) -> Image.Image:
    """Black ink on cream paper: layers of parallel lines, more where the field is darker."""
    tone = 0.75 * smooth_noise(rng, 3) + 0.25 * smooth_noise(rng, 8)
    tone = (tone - tone.min()) / (tone.max() - tone.min())
    image, draw = canvas("#f3ead6")
    for degrees, threshold, gap in [
        (35, 0.78, 5.0),
        (-40, 0.55, 5.0),
        (80, 0.36, 5.5),
        (5, 0.22, 6.0),
    ]:
        along = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
        across = np.array([-along[1], along[0]])
        reach = np.hypot(WIDTH, HEIGHT)
        for offset in np.arange(-reach, reach, gap):
            middle = np.array([WIDTH / 2, HEIGHT / 2]) + across * (offset + rng.normal(0, 0.5))
            start = -reach
            while start < reach:
                length = rng.uniform(14, 34)
                a, b = (
                    middle + along * start,
                    middle + along * (start + length) + rng.normal(0, 0.8, 2),
                )
                column, row = ((a + b) / 2).astype(int)
                if 0 <= row < HEIGHT and 0 <= column < WIDTH and tone[row, column] < threshold:
                    ends = [
                        (a[0] * OVERSAMPLING, a[1] * OVERSAMPLING),
                        (b[0] * OVERSAMPLING, b[1] * OVERSAMPLING),
                    ]
                    draw.line(ends, fill="#1d1a1a", width=int(rng.integers(2, 4)))
                start += length + rng.uniform(0, 4)
    return finish(image)


def roundels(rng: np.random.Generator) -> Image.Image:
    """Rings of flat color cut by straight lines, in the manner of early abstract painting."""
    palette = [
        "#d7263d",
        "#f46036",
        "#ffd23f",
        "#2e9e6b",
        "#1b998b",
        "#1f4e9e",
        "#2e294e",
        "#f4e9d8",
        "#8e3b8a",
    ]
    image, draw = canvas("#f4e9d8")
    centers = [
        (120, 110),
        (330, 70),
        (520, 140),
        (215, 260),
        (430, 290),
        (60, 330),
        (580, 360),
        (320, 400),
    ]
    for cx, cy in centers:
        rings = int(rng.integers(5, 8))
        outer = rng.uniform(85, 125)
        split = rng.uniform(0, 360)
        for ring in range(rings):
            radius = outer * (1 - ring / rings) * OVERSAMPLING
            box = (cx * 2 - radius, cy * 2 - radius, cx * 2 + radius, cy * 2 + radius)
            for quarter in range(4):
                color = palette[int(rng.integers(len(palette)))]
                draw.pieslice(box, split + 90 * quarter, split + 90 * (quarter + 1), fill=color)
    for _ in range(12):
        x0, x1 = rng.uniform(0, WIDTH * OVERSAMPLING, 2)
        draw.line(
            [(x0, 0), (x1, HEIGHT * OVERSAMPLING)],
            fill="#231f20",
            width=int(rng.integers(3, 7)),
        )
    grain = np.asarray(finish(image.filter(ImageFilter.GaussianBlur(0.8))), float) + rng.normal(
        0, 6, (HEIGHT, WIDTH, 1)
    )
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


DRAWINGS: dict[str, tuple[Callable[[np.random.Generator], Image.Image], int]] = {
    "brushstrokes": (brushstrokes, 1),
    "mosaic": (mosaic, 2),
    "hatching": (hatching, 3),
    "roundels": (roundels, 4),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Draw the style images that ship with stylelib."
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    for name, (drawing, seed) in DRAWINGS.items():
        drawing(np.random.default_rng(seed)).save(
            folder / f"{name}.jpg", quality=92, optimize=True
        )


if __name__ == "__main__":
    main()
