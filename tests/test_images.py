import io
import os
import stat
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from stylelib import (
    FileError,
    InputError,
    StylelibError,
    load_image,
    postprocess,
    preprocess,
    save_image,
)
from stylelib.images import check_output

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def random_pixels(height=5, width=7, channels=3, seed=0):
    return np.random.default_rng(seed).integers(
        0, 256, (height, width, channels), dtype=np.uint8
    )


def encode(image, picture_format, **options):
    stream = io.BytesIO()
    image.save(stream, picture_format, **options)
    return stream.getvalue()


def png_chunk(kind, body):
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    )


def png_by_hand(width, height, bits, color_type, raw, *more):
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    chunks = [
        png_chunk(b"IHDR", header),
        *more,
        png_chunk(b"IDAT", zlib.compress(raw)),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# --- load_image: where pictures come from


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "open file", "BytesIO", "PIL"])
def test_every_kind_of_source_gives_the_same_pixels(tmp_path, kind):
    pixels = random_pixels()
    image = Image.fromarray(pixels)
    path = tmp_path / "a.png"
    image.save(path)
    with path.open("rb") as stream:
        source = {
            "path": path,
            "str": str(path),
            "bytes": path.read_bytes(),
            "open file": stream,
            "BytesIO": io.BytesIO(path.read_bytes()),
            "PIL": image,
        }[kind]
        loaded = load_image(source)
    assert type(loaded) is Image.Image
    assert loaded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(loaded), pixels)


def test_a_file_object_stays_open(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(random_pixels()).save(path)
    with path.open("rb") as stream:
        load_image(stream)
        assert not stream.closed


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_the_source_image_is_neither_changed_nor_returned(mode):
    source = Image.fromarray(random_pixels()).convert(mode)
    before = source.tobytes()
    loaded = load_image(source)
    assert loaded is not source
    loaded.paste((1, 2, 3), (0, 0, *loaded.size))
    assert source.mode == mode
    assert source.tobytes() == before


def test_the_first_frame_of_an_animation_is_taken():
    frames = [
        Image.new("RGB", (6, 4), color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    ]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (np.asarray(load_image(data)) == (255, 0, 0)).all()


# --- load_image: orientation

# What is to be seen, from the pixels as they are stored; the definition of the EXIF tag 274 in NumPy.
UPRIGHT = {
    1: lambda A: A,
    2: lambda A: A[:, ::-1],
    3: lambda A: A[::-1, ::-1],
    4: lambda A: A[::-1],
    5: lambda A: A.swapaxes(0, 1),
    6: lambda A: np.rot90(A, -1),
    7: lambda A: A[::-1, ::-1].swapaxes(0, 1),
    8: lambda A: np.rot90(A, 1),
}


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(orientation, picture_format):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if picture_format == "WEBP" else {}
    data = encode(Image.fromarray(random_pixels()), picture_format, exif=exif, **options)
    stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    if picture_format == "TIFF":  # Pillow turns a TIFF itself, when it loads it
        stored = random_pixels()
    np.testing.assert_array_equal(np.asarray(load_image(data)), UPRIGHT[orientation](stored))


def test_exif_orientation_of_an_open_pil_image_is_applied():
    exif = Image.Exif()
    exif[274] = 6
    opened = Image.open(
        io.BytesIO(encode(Image.fromarray(random_pixels(4, 9)), "PNG", exif=exif))
    )
    np.testing.assert_array_equal(
        np.asarray(load_image(opened)), np.rot90(random_pixels(4, 9), -1)
    )
    assert opened.size == (9, 4)


def test_the_orientation_is_applied_once_only():
    exif = Image.Exif()
    exif[274] = 6
    once = load_image(encode(Image.fromarray(random_pixels(4, 9)), "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(load_image(once)), np.asarray(once))


@pytest.mark.parametrize(
    "body", [b"Exif\0\0", b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_broken_exif_does_not_hide_the_picture(body):
    data = encode(Image.new("RGB", (8, 6)), "JPEG")
    broken = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own words about it
        assert load_image(broken).size == (8, 6)


# The orientation is 3 here, and Pillow fails as it writes the other entry into the EXIF data of the turned picture.
@pytest.mark.parametrize("tag", [340, 271 + 0x1000])
def test_an_exif_entry_of_the_wrong_type_is_no_other_error_than_ours(tag):
    entries = [struct.pack("<HHIHH", 274, 3, 1, 3, 0), struct.pack("<HHI4s", tag, 2, 4, b"odd")]
    body = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + bytes(4)
    data = encode(Image.new("RGB", (8, 6)), "JPEG")
    odd = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    try:
        assert load_image(odd).size == (8, 6)
    except FileError as error:
        assert "the given data" in str(error)  # noqa: PT017  no error is right, too


# --- load_image: modes


def test_mode_1_is_black_and_white():
    bits = np.random.default_rng(0).random((5, 11)) < 0.5
    loaded = np.asarray(load_image(encode(Image.fromarray(bits), "PNG")))
    np.testing.assert_array_equal(loaded, np.repeat(bits[..., None] * np.uint8(255), 3, axis=2))


def test_mode_l_becomes_three_equal_channels():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    loaded = np.asarray(load_image(encode(Image.fromarray(gray), "PNG")))
    np.testing.assert_array_equal(loaded, np.repeat(gray[..., None], 3, axis=2))


def over_white(color, alpha):
    return color * (alpha / 255) + 255 * (1 - alpha / 255)


@pytest.mark.parametrize("through_a_file", [True, False])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(mode, through_a_file):
    channels = len(mode)
    colors = random_pixels(40, 40, channels, seed=1)
    colors[0, :20, -1], colors[1, :20, -1] = 0, 255
    image = Image.fromarray(colors, mode)
    loaded = np.asarray(load_image(encode(image, "PNG") if through_a_file else image)).astype(
        float
    )
    expected = over_white(colors[..., :-1].astype(float), colors[..., -1:].astype(float))
    assert np.abs(loaded - expected).max() <= 1  # Pillow composites in whole numbers
    np.testing.assert_array_equal(loaded[0, :20], 255)  # fully transparent: white
    opaque = np.broadcast_to(colors[1, :20, :-1], (20, 3))
    np.testing.assert_array_equal(loaded[1, :20], opaque)


def test_mode_p_shows_its_palette():
    image = Image.new("P", (4, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0, 7, 8, 9])
    image.putdata([0, 1, 2, 3])
    loaded = np.asarray(load_image(encode(image, "PNG")))
    assert loaded[0].tolist() == [[10, 20, 30], [200, 100, 50], [0, 255, 0], [7, 8, 9]]


@pytest.mark.parametrize("picture_format", ["PNG", "GIF"])
def test_mode_p_with_a_transparent_entry_is_white_there(picture_format):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    image.putdata([0, 1, 2])
    loaded = np.asarray(load_image(encode(image, picture_format, transparency=1)))
    assert loaded[0].tolist() == [[10, 20, 30], [255, 255, 255], [0, 255, 0]]


def test_mode_p_with_partly_transparent_entries_is_composited():
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    image.putdata([0, 1, 2])
    loaded = np.asarray(
        load_image(encode(image, "PNG", transparency=bytes([0, 128, 255])))
    ).astype(float)
    expected = np.array(
        [[255, 255, 255], over_white(np.array([200.0, 100, 50]), 128), [0, 255, 0]]
    )
    assert np.abs(loaded[0] - expected).max() <= 1


def test_mode_pa_is_composited():
    image = Image.new("PA", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), (1, 255))
    image.putpixel((1, 0), (1, 0))
    assert np.asarray(load_image(image))[0].tolist() == [[200, 100, 50], [255, 255, 255]]


@pytest.mark.parametrize("color", [(12, 34, 56), (255, 255, 255)])
def test_a_transparent_color_of_an_rgb_png_is_white(color):
    image = Image.new("RGB", (2, 1), color)
    image.putpixel((1, 0), (90, 80, 70))
    loaded = np.asarray(load_image(encode(image, "PNG", transparency=color)))
    assert loaded[0].tolist() == [[255, 255, 255], [90, 80, 70]]


def test_mode_cmyk_follows_the_plain_formula():
    inks = random_pixels(20, 20, 4)
    image = Image.fromarray(inks, "CMYK")
    loaded = np.asarray(load_image(encode(image, "TIFF"))).astype(float)
    cmy, k = inks[..., :3] / 255, inks[..., 3:] / 255
    assert np.abs(loaded - 255 * (1 - cmy) * (1 - k)).max() <= 1


def test_mode_ycbcr_follows_the_jfif_formula():
    # Inside the gamut, where nothing is clipped.
    y, cb, cr = (
        np.random.default_rng(0).integers(low, high, (9, 9))
        for low, high in ((100, 150), (110, 146), (110, 146))
    )
    image = Image.fromarray(np.stack([y, cb, cr], axis=-1).astype(np.uint8), "YCbCr")
    expected = np.stack(
        [
            y + 1.402 * (cr - 128),
            y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
            y + 1.772 * (cb - 128),
        ],
        axis=-1,
    )
    assert np.abs(np.asarray(load_image(image)) - expected).max() <= 1.01


LEVELS = np.array(
    [[0, 65535, 128, 129, 256, 257, 258, 32768, 32767, 65278, 65406, 65407]], np.uint16
)


@pytest.mark.parametrize(
    "kind", ["png by hand", "PNG", "TIFF", "PIL", "big-endian TIFF", "mode I"]
)
def test_16_bit_gray_is_scaled_by_257_and_rounded(kind):
    levels = np.concatenate([LEVELS.ravel(), 257 * np.arange(256)]).astype(np.uint16)[None]
    image = Image.fromarray(levels)
    assert image.mode.startswith("I;16")
    source = {
        "png by hand": lambda: png_by_hand(
            levels.size, 1, 16, 0, b"\0" + levels.astype(">u2").tobytes()
        ),
        "PNG": lambda: encode(image, "PNG"),
        "TIFF": lambda: encode(image, "TIFF"),
        "PIL": lambda: image,
        "big-endian TIFF": lambda: encode(
            Image.frombytes("I;16B", image.size, levels.astype(">u2").tobytes()), "TIFF"
        ),
        "mode I": lambda: Image.fromarray(levels.astype(np.int32)),
    }[kind]()
    loaded = np.asarray(load_image(source)).astype(float)
    expected = np.floor(levels / 257 + 0.5)
    np.testing.assert_array_equal(loaded, np.repeat(expected[..., None], 3, axis=2))
    np.testing.assert_array_equal(loaded[0, 12:, 0], np.arange(256))


def test_8_bit_gray_png_by_hand_is_read_as_it_is():
    data = png_by_hand(4, 1, 8, 0, b"\0" + bytes([0, 1, 128, 255]))
    assert np.asarray(load_image(data))[0, :, 0].tolist() == [0, 1, 128, 255]


# --- load_image: what is no picture


def test_error_classes_are_also_the_builtin_ones():
    assert issubclass(FileError, OSError)
    assert issubclass(FileError, StylelibError)
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, StylelibError)
    assert not issubclass(InputError, OSError)
    assert not issubclass(FileError, ValueError)


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (10_000, 9_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_by_hand(width, height, 8, 2, bytes(1000)))
    with pytest.raises(FileError, match=r"bomb\.png.*pixels"):
        load_image(path)


def test_a_picture_just_under_the_limit_is_not_called_a_bomb():
    # 89,478,485 = 5 x 17,895,697 pixels; the data are missing, so it must fail for that reason only.
    with pytest.raises(FileError, match="damaged"):
        load_image(png_by_hand(17_895_697, 5, 1, 0, b""))


def _formats():
    image = Image.fromarray(random_pixels(24, 36, seed=3))
    exif = Image.Exif()
    exif[274] = 3
    exif[271] = "a maker of cameras"
    return {
        "PNG": encode(image, "PNG", exif=exif),
        "JPEG": encode(image, "JPEG", exif=exif),
        "progressive JPEG": encode(image, "JPEG", progressive=True),
        "WebP": encode(image, "WEBP"),
        "lossless WebP": encode(image, "WEBP", lossless=True, exif=exif),
        "GIF": encode(image, "GIF"),
        "TIFF": encode(image, "TIFF"),
        "LZW TIFF": encode(image, "TIFF", compression="tiff_lzw"),
    }


FORMATS = _formats()


@pytest.mark.parametrize("name", FORMATS)
def test_the_whole_file_is_read(name):
    assert load_image(FORMATS[name]).size == (36, 24)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere_is_a_file_error_or_a_picture_of_its_size(name, data):
    whole = FORMATS[name]
    cut = data.draw(st.integers(0, len(whole) - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of some cuts
        try:
            image = load_image(whole[:cut])
        except FileError as error:
            assert "the given data" in str(error)  # noqa: PT017  no error is right, too
        else:
            assert (image.mode, image.size) == ("RGB", (36, 24))


@pytest.mark.parametrize(
    "name", ["PNG", "JPEG", "progressive JPEG", "WebP", "lossless WebP", "TIFF", "LZW TIFF"]
)
def test_half_a_file_is_a_file_error(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FileError, match=r"damaged or cut short|not an image"):
            load_image(FORMATS[name][: len(FORMATS[name]) // 2])


@settings(deadline=None, max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_raises_nothing_but_our_errors(name, data):
    damaged = bytearray(FORMATS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged) - 1, 400)))] = data.draw(
            st.integers(0, 255)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = load_image(bytes(damaged))
        except StylelibError:
            pass
        else:
            assert image.mode == "RGB"


# --- save_image


@pytest.mark.parametrize(
    ("name", "picture_format"),
    [
        ("a.png", "PNG"),
        ("a.PNG", "PNG"),
        ("a.jpg", "JPEG"),
        ("a.jpeg", "JPEG"),
        ("a.webp", "WEBP"),
        ("a.bmp", "BMP"),
        ("a.tif", "TIFF"),
        ("a.gif", "GIF"),
        ("a.b.c.png", "PNG"),
    ],
)
def test_the_ending_chooses_the_format(tmp_path, name, picture_format):
    path = save_image(Image.fromarray(random_pixels()), tmp_path / name)
    assert path == tmp_path / name
    with Image.open(path) as written:
        assert (written.format, written.size) == (picture_format, (7, 5))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "1"])
def test_png_keeps_every_pixel_and_the_mode(tmp_path, mode):
    image = Image.fromarray(random_pixels(9, 8, 4), "RGBA").convert(mode)
    with Image.open(save_image(image, str(tmp_path / "a.png"))) as written:
        assert written.mode == mode
        assert written.tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16"])
def test_jpeg_of_any_mode_is_written_as_rgb(tmp_path, mode):
    image = Image.new(mode, (16, 16))
    if mode == "RGBA":
        image = Image.new(mode, (16, 16), (200, 0, 0, 0))
    with Image.open(save_image(image, tmp_path / "a.jpg")) as written:
        assert (written.format, written.mode) == ("JPEG", "RGB")
        color = 255 if mode in ("RGBA", "LA") else 0  # what is fully transparent is white
        assert np.abs(np.asarray(written).astype(int) - color).max() <= 2
    assert image.mode == mode


def test_higher_quality_loses_less(tmp_path, photo):
    pixels = np.asarray(photo).astype(float)
    errors, sizes = [], []
    for quality in (10, 50, 95):
        path = save_image(photo, tmp_path / f"{quality}.jpg", quality=quality)
        errors.append(np.abs(np.asarray(Image.open(path)) - pixels).mean())
        sizes.append(path.stat().st_size)
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes)
    default = save_image(photo, tmp_path / "default.jpg")
    assert default.read_bytes() == (tmp_path / "95.jpg").read_bytes()


@pytest.mark.parametrize("batched", [True, False])
def test_a_tensor_is_written_as_its_picture(tmp_path, batched):
    pixels = random_pixels()
    X = torch.tensor((pixels / 255 - MEAN) / STD).permute(2, 0, 1).float()
    with Image.open(save_image(X[None] if batched else X, tmp_path / "a.png")) as written:
        np.testing.assert_array_equal(np.asarray(written), pixels)


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.txt", ".png", "a.png.", "a.fits", "a.json"])
def test_an_unknown_ending_is_refused_by_name(tmp_path, name):
    for write in (
        lambda: save_image(Image.new("RGB", (3, 3)), tmp_path / name),
        lambda: check_output(tmp_path / name),
    ):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            write()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileError, match=r"no folder .*absent"):
        save_image(Image.new("RGB", (3, 3)), tmp_path / "absent" / "a.png")
    assert not (tmp_path / "absent").exists()


def test_a_directory_as_target_is_refused_by_name(tmp_path):
    (tmp_path / "d.png").mkdir()
    with pytest.raises(FileError, match=r"d\.png.*directory"):
        save_image(Image.new("RGB", (3, 3)), tmp_path / "d.png")
    assert list(tmp_path.iterdir()) == [tmp_path / "d.png"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(FileError, match="cannot write"):
            save_image(Image.new("RGB", (3, 3)), tmp_path / "a.png")
    finally:
        tmp_path.chmod(0o755)


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    try:
        path.touch()
    except OSError as error:
        pytest.skip(f"the file system does not take such a name: {error}")
    save_image(Image.new("RGB", (3, 2)), path)
    assert load_image(path).size == (3, 2)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (Image.new("F", (3, 3)), "a.png"),
        (Image.new("RGB", (0, 3)), "a.png"),
        (Image.new("RGB", (20_000, 1)), "a.webp"),
        (torch.zeros(2, 3, 4, 4), "a.png"),
        (torch.full((1, 3, 4, 4), torch.nan), "a.png"),
    ],
)
def test_a_picture_the_format_cannot_hold_is_an_input_error_and_leaves_nothing(
    tmp_path, image, name
):
    with pytest.raises(InputError):
        save_image(image, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o664])
def test_replacing_a_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    path.chmod(mode)
    mode = stat.S_IMODE(path.stat().st_mode)  # what the system makes of it
    save_image(Image.fromarray(random_pixels()), path)
    assert load_image(path).size == (7, 5)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o027])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        path = save_image(Image.fromarray(random_pixels()), tmp_path / "a.png")
        with open(tmp_path / "plain", "w"):
            pass
        assert os.umask(umask) == umask  # as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


def test_a_symbolic_link_is_followed_and_kept(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    try:
        link.symlink_to(target)
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
    save_image(Image.fromarray(random_pixels()), link)
    assert link.is_symlink()
    assert load_image(target).size == (7, 5)


@pytest.mark.parametrize("failing", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("there_was_a_file", [True, False])
def test_a_failing_write_leaves_the_old_file_whole_and_nothing_else(
    tmp_path, monkeypatch, failing, there_was_a_file
):
    path = tmp_path / "a.png"
    if there_was_a_file:
        path.write_bytes(b"the old file")

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(FileError, match=r"a\.png.*No space left"):
            save_image(Image.fromarray(random_pixels()), path)
    assert list(tmp_path.iterdir()) == ([path] if there_was_a_file else [])
    if there_was_a_file:
        assert path.read_bytes() == b"the old file"


def test_ctrl_c_while_writing_leaves_the_old_file_whole_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"the old file")

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_image(Image.fromarray(random_pixels()), path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"the old file"


# --- preprocess


def test_preprocess_without_resizing_is_the_formula():
    pixels = random_pixels(11, 13)
    X = preprocess(Image.fromarray(pixels), (11, 13))
    assert (X.shape, X.dtype, X.is_contiguous()) == ((1, 3, 11, 13), torch.float32, True)
    expected = ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(X.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (37, 120), (300, 451), (400, 500), (1, 1)])
def test_preprocess_is_torchvisions_resize_totensor_normalize(photo, shape):
    theirs = transforms.Compose(
        [transforms.Resize(shape), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    ours = preprocess(photo, shape)
    assert ours.shape == (1, 3, *shape)
    torch.testing.assert_close(ours[0], theirs(photo).float(), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 60))
def test_one_number_is_the_shorter_side_and_the_aspect_ratio_is_kept(width, height, side):
    H, W = preprocess(Image.new("RGB", (width, height)), side).shape[2:]
    assert min(H, W) == side
    assert (H <= W) == (height <= width) or H == W
    # The longer side is within half a pixel of what the exact ratio asks for.
    assert abs(max(H, W) - side * max(width, height) / min(width, height)) <= 0.5 + 1e-9


def test_two_numbers_are_height_and_width_and_may_be_a_list(photo):
    assert preprocess(photo, (20, 33)).shape == (1, 3, 20, 33)
    assert preprocess(photo, [20, 33]).shape == (1, 3, 20, 33)


def test_preprocess_takes_any_mode_and_does_not_change_its_argument():
    image = Image.new("LA", (5, 4), (10, 0))
    X = preprocess(image, (4, 5))
    white = torch.tensor((1 - MEAN) / STD).float().view(1, 3, 1, 1).expand(1, 3, 4, 5)
    torch.testing.assert_close(X, white, rtol=0, atol=1e-6)
    assert (image.mode, image.getpixel((0, 0))) == ("LA", (10, 0))


# --- postprocess


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"]),
    st.integers(0, 2**32 - 1),
)
def test_the_round_trip_returns_every_gray_level(width, height, mode, seed):
    image = (
        Image.fromarray(random_pixels(height, width, 4, seed), "RGBA")
        .convert("RGB")
        .convert(mode)
    )
    back = postprocess(preprocess(image, (height, width)))
    np.testing.assert_array_equal(np.asarray(back), np.asarray(load_image(image)))


def test_the_round_trip_of_all_256_levels_is_exact():
    gray = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    np.testing.assert_array_equal(
        np.asarray(postprocess(preprocess(Image.fromarray(gray), (16, 16)))), gray
    )


def test_postprocess_is_the_inverse_formula_rounded_and_clamped():
    X = torch.randn(1, 3, 30, 40, generator=torch.Generator().manual_seed(0)) * 3
    pixels = (X[0].double().numpy().transpose(1, 2, 0) * STD + MEAN) * 255
    assert pixels.min() < -50
    assert pixels.max() > 300
    near_a_tie = (
        np.abs(pixels - np.floor(pixels) - 0.5) < 1e-3
    )  # there float32 may round either way
    expected = np.clip(np.floor(pixels + 0.5), 0, 255)
    ours = np.asarray(postprocess(X))
    np.testing.assert_array_equal(ours[~near_a_tie], expected[~near_a_tie])
    assert near_a_tie.mean() < 0.01


def test_postprocess_takes_one_picture_with_or_without_the_batch_axis():
    X = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    assert postprocess(X).size == (6, 4)
    assert postprocess(X).mode == "RGB"
    assert postprocess(X[0]).tobytes() == postprocess(X).tobytes()


def test_postprocess_takes_tensors_that_require_a_gradient_and_leaves_them():
    X = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = X.detach().clone()
    assert postprocess(X).tobytes() == postprocess(before).tobytes()
    assert X.requires_grad
    assert torch.equal(X, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_postprocess_takes_floating_dtypes(dtype):
    X = torch.zeros(1, 3, 4, 6, dtype=dtype)
    assert (np.asarray(postprocess(X)) == np.floor(MEAN * 255 + 0.5)).all()


def sideways_jpeg():
    """200 x 100 as stored, 100 x 200 as seen."""
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.new("RGB", (200, 100), "red").save(stream, "JPEG", exif=exif)
    return Image.open(io.BytesIO(stream.getvalue()))


def test_a_shorter_side_is_that_of_the_upright_picture():
    assert preprocess(sideways_jpeg(), 50).shape == (1, 3, 100, 50)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_picture_is_saved_upright(tmp_path, ending):
    assert load_image(save_image(sideways_jpeg(), tmp_path / f"a.{ending}")).size == (100, 200)


def test_the_transparent_level_of_a_16_bit_picture_is_white():
    stream = io.BytesIO()
    levels = np.array([[0, 5 * 257], [5 * 257, 9 * 257]], np.uint16)
    Image.fromarray(levels).save(stream, "PNG", transparency=5 * 257)
    gray = np.asarray(load_image(stream.getvalue()))[:, :, 0]
    np.testing.assert_array_equal(gray, [[0, 255], [255, 9]])


def test_a_picture_too_wide_for_its_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="GIF"):
        save_image(Image.new("RGB", (70_000, 1)), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())
