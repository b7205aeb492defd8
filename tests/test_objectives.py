"""Objectives are made of terms; the features here are the picture times the layer's name."""

import pytest
import torch
from toys import draw

from stylelib import (
    Match,
    Prior,
    compare_features,
    compare_grams,
    objective_of,
    tv_loss,
)


def picture(seed, shape=(1, 3, 4, 6)):
    return torch.tensor(draw(shape, seed))


class Multiples:
    """At layer "3" the features are three times the picture. It counts its passes."""

    def __init__(self):
        self.asked = []

    def __call__(self, X, layers):
        self.asked.append(list(layers))
        return [X * float(layer) for layer in layers]


X, TARGET, OTHER = picture(0), picture(1), picture(2)
MEAN_SQUARE = ((X - TARGET) ** 2).mean().item()


def losses(*terms, at=X, **arguments):
    found = objective_of(terms, Multiples(), **arguments)(at)
    return {name: loss.item() for name, loss in found.items()}


def gram_in_numpy(X, factor=1.0):
    F = factor * X[0].reshape(3, -1).numpy()
    return F @ F.T / F.size


def test_a_match_is_the_weighted_sum_over_its_layers():
    term = Match("content", TARGET, ["1", "3"], compare_features, 5.0)
    assert losses(term) == {"content": pytest.approx(5 * (1 + 9) * MEAN_SQUARE, rel=1e-12)}


def test_layers_may_have_factors():
    term = Match("content", TARGET, {"1": 2.0, "3": 0.5}, compare_features, 5.0)
    expected = 5 * (2 + 0.5 * 9) * MEAN_SQUARE
    assert losses(term) == {"content": pytest.approx(expected, rel=1e-12)}


def test_layers_may_be_averaged():
    term = Match("content", TARGET, ["1", "3"], compare_features, 5.0, averages=True)
    assert losses(term) == {"content": pytest.approx(5 * (1 + 9) / 2 * MEAN_SQUARE, rel=1e-12)}


def test_no_layers_are_a_loss_of_0():
    found = losses(Match("content", TARGET, [], compare_features), Prior("tv", tv_loss))
    assert found["content"] == 0
    assert found["tv"] > 0


def test_style_compares_gram_matrices_and_its_target_may_have_another_size():
    style = picture(3, (1, 3, 7, 2))
    term = Match("style", style, ["1", "2"], compare_grams, 10.0)
    expected = 10 * sum(
        ((gram_in_numpy(X, k) - gram_in_numpy(style, k)) ** 2).mean() for k in (1, 2)
    )
    assert losses(term) == {"style": pytest.approx(expected, rel=1e-12)}


def test_a_prior_looks_at_the_picture_alone():
    assert losses(Prior("dark", lambda X: X.square().sum(), 0.5)) == {
        "dark": pytest.approx(0.5 * float((X**2).sum()), rel=1e-12)
    }


def test_terms_of_one_name_are_added_up_and_others_keep_their_order():
    found = losses(
        Match("style", TARGET, ["1"], compare_features, 2.0),
        Prior("tv", tv_loss),
        Match("style", OTHER, ["2"], compare_features, 3.0),
    )
    expected = 2 * MEAN_SQUARE + 3 * 4 * float(((X - OTHER) ** 2).mean())
    assert list(found) == ["style", "tv"]
    assert found["style"] == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_that_of_the_closed_form():
    Y = X.clone().requires_grad_()
    terms = [Match("content", TARGET, ["1", "3"], compare_features, 5.0)]
    sum(objective_of(terms, Multiples())(Y).values()).backward()
    expected = 5 * (1 + 9) * 2 * (X - TARGET) / X.numel()
    torch.testing.assert_close(Y.grad, expected, rtol=1e-12, atol=1e-15)


def test_whatever_the_number_of_terms_a_picture_goes_through_once():
    features = Multiples()
    terms = [
        Match("a", TARGET, ["1", "2"], compare_features),
        Match("b", OTHER, ["2", "3"], compare_grams),
        Prior("tv", tv_loss),
    ]
    objective = objective_of(terms, features)
    assert features.asked == [["1", "2"], ["2", "3"]]  # the targets, once
    features.asked.clear()
    objective(X)
    objective(OTHER)
    assert features.asked == [["1", "2", "3"]] * 2


def test_targets_may_come_from_elsewhere():
    def doubled(X, layers):
        return [2 * X * float(layer) for layer in layers]

    term = Match("content", TARGET, ["1"], compare_features)
    expected = float(((X - 2 * TARGET) ** 2).mean())
    assert losses(term, targets=doubled) == {"content": pytest.approx(expected, rel=1e-12)}


def test_a_term_of_ones_own_is_a_name_layers_and_a_loss():
    class Brightest:
        name = "brightest"
        layers = ("2",)

        def loss_given(self, features):
            return lambda X, seen: seen["2"].max() - X.min()

    assert losses(Brightest()) == {"brightest": pytest.approx(float(2 * X.max() - X.min()))}
