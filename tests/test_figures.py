import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image

from stylelib import InputError, postprocess
from stylelib.figures import show_images


@pytest.fixture(autouse=True)
def _agg():
    mpl.use("Agg")
    yield
    plt.close("all")


def pictures(count, size=(30, 20)):
    return [Image.new("RGB", size, (index, 0, 0)) for index in range(count)]


def with_a_picture(figure):
    return [ax for ax in figure.axes if ax.images]


@pytest.mark.parametrize(
    ("count", "columns", "rows", "across"),
    [(1, None, 1, 1), (4, None, 1, 4), (4, 2, 2, 2), (5, 3, 2, 3), (3, 1, 3, 1), (2, 5, 1, 5)],
)
def test_the_grid_has_a_place_for_every_picture_in_order(count, columns, rows, across):
    figure = show_images(pictures(count), columns=columns)
    assert len(figure.axes) == rows * across
    assert figure.axes[0].get_gridspec().get_geometry() == (rows, across)
    shown = with_a_picture(figure)
    assert shown == figure.axes[:count]
    assert [int(ax.images[0].get_array()[0, 0, 0]) for ax in shown] == list(range(count))
    assert not any(ax.axison for ax in figure.axes)


def test_titles_stand_above_their_pictures():
    figure = show_images(pictures(3), ["a", "", "two\nlines"], columns=2)
    assert [ax.get_title() for ax in figure.axes] == ["a", "", "two\nlines", ""]


def test_without_titles_there_are_none():
    assert [ax.get_title() for ax in show_images(pictures(2)).axes] == ["", ""]


def test_the_figure_has_the_width_asked_for_and_room_for_its_pictures():
    wide = show_images(pictures(2, (40, 10)), width=6)
    tall = show_images(pictures(2, (10, 40)), width=6)
    assert wide.get_figwidth() == tall.get_figwidth() == 6
    assert wide.get_figheight() >= 6 / 2 / 4
    assert tall.get_figheight() >= 6 / 2 * 4
    assert (
        show_images(pictures(2), ["a\nb\nc", "d"]).get_figheight()
        > show_images(pictures(2)).get_figheight()
    )


@pytest.mark.parametrize("shape", [(1, 3, 8, 12), (3, 8, 12)])
def test_normalised_tensors_are_shown_as_their_pictures(shape):
    X = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (ax,) = show_images([X]).axes
    np.testing.assert_array_equal(ax.images[0].get_array(), np.asarray(postprocess(X)))


def test_maps_are_drawn_in_colours_from_their_least_to_their_greatest_value():
    M = torch.tensor([[-3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    figure = show_images([M, 10 * M], cmap="viridis")
    for ax, scale in zip(figure.axes, (1, 10), strict=True):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), scale * M.numpy())
        assert image.get_clim() == (-3 * scale, 5 * scale)
        assert image.get_cmap().name == "viridis"


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, 3, 4, 4), torch.zeros(7), torch.zeros(1, 4, 4)]
)
def test_a_tensor_that_is_no_picture_is_refused(tensor):
    with pytest.raises(InputError, match="shape"):
        show_images([tensor])
    assert plt.get_fignums() == []


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA", "CMYK", "YCbCr"])
def test_pictures_of_other_modes_look_as_they_are(mode):
    image = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    ).convert(mode)
    (ax,) = show_images([image]).axes
    shown = ax.images[0].make_image(None, unsampled=True)[0]  # RGBA as it is drawn
    np.testing.assert_array_equal(shown[..., :3], np.asarray(image.convert("RGB")))


def test_the_figure_can_be_drawn(tmp_path):
    show_images(pictures(3), ["a", "b", "c"], columns=2).savefig(
        tmp_path / "figure.png", dpi=40
    )
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == 360
