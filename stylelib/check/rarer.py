"""Families of mistakes, exercise by exercise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stylelib.check import (
    adam_families,
    ascent_families,
    band_families,
    content_families,
    convolution_families,
    direction_families,
    gaussian_families,
    gram_families,
    image_families,
    kernel_families,
    matching_families,
    moment_families,
    pooling_families,
    portrait_families,
    saliency_families,
    similarity_families,
    slice_families,
    spread_families,
    step_families,
    style_families,
    total_families,
    variation_families,
)
from stylelib.check.alike import ALIKE
from stylelib.check.exercises import Exercise, Wrong

__all__ = ["with_families"]

FAMILIES: dict[str, tuple[Wrong, ...]] = {
    "preprocess": image_families.FORWARD,
    "postprocess": image_families.BACKWARD,
    "content_loss": content_families.WRONGS,
    "gram": gram_families.WRONGS,
    "style_loss": style_families.WRONGS,
    "tv_loss": variation_families.WRONGS,
    "compute_loss": total_families.WRONGS,
    "training_step": step_families.WRONGS,
    "lbfgs_direction": direction_families.WRONGS,
    "saliency_map": saliency_families.WRONGS,
    "fooling_step": ascent_families.WRONGS,
    "class_visualization_step": portrait_families.WRONGS,
    "convolution_forward": convolution_families.WRONGS,
    "convolution_backward": kernel_families.WRONGS,
    "max_pool_forward": pooling_families.MAXIMUM,
    "average_pool_forward": pooling_families.AVERAGE,
    "max_pool_backward": spread_families.MAXIMUM,
    "average_pool_backward": spread_families.AVERAGE,
    "adam_step": adam_families.WRONGS,
    "moments_loss": moment_families.WRONGS,
    "gaussian_loss": gaussian_families.WRONGS,
    "sliced_loss": slice_families.WRONGS,
    "nearest": matching_families.WRONGS,
    "bands_of": band_families.WRONGS,
    "structure_divergence": similarity_families.WRONGS,
}


SAME: dict[str, str] = {
    "convolution_forward": ("counted_padding_once"),
    "convolution_backward": (
        "top_diff_averaged_in_2 top_diff_rotated_in_2 top_diff_averaged_in_012 "
        "top_diff_rotated_in_012 places_summed_apart_in_weight"
    ),
    "max_pool_forward": (
        "part_first_two rows_one_alone columns_one_alone part_no_last_row "
        "part_no_last_column started_anew_only_for_each_row_of_windows whole_channel "
        "both_by_kernel"
    ),
    "average_pool_forward": (
        "part_first_two rows_one_alone columns_one_alone part_no_last_row "
        "part_no_last_column whole_channel both_by_kernel"
    ),
    "max_pool_backward": (
        "part_last both_all only_positive_pixels times_maximum part_no_last_row "
        "part_no_last_column both_by_kernel put_by_kernel_in_rows "
        "put_by_kernel_in_columns put_by_kernel_in_rows_and_columns divided_by_stride"
    ),
    "average_pool_backward": (
        "part_first_two divided_by_pixels_and_images only_positive_pixels times_x "
        "part_gets_all_no_last_row part_gets_all_no_last_column part_gets_all_first_two "
        "both_by_kernel divided_by_windows row_too_few_over_all col_too_few_over_all "
        "row_and_col_of_stride_over_all"
    ),
    "adam_step": (
        "factor_-1_0 m_corrected_negative v_corrected_times_t step_m_inside_v_rate "
        "step_m_none_v_rate step_m_v_rate step_g_root_of_v_rate "
        "step_m_hat_root_twice_rate v_corrected_swapped_base "
        "m_and_v_corrected_swapped_base"
    ),
    "moments_loss": (
        "over_images deviation_of_difference of_batch_for_means_squared_for_deviations "
        "of_mean_for_means_squared_for_deviations nothing_and_mean_square "
        "mean_of_images_first products_of_images "
        "first_channel_for_means_first_channel_for_deviations "
        "first_image_for_means_first_image_for_deviations "
        "last_image_for_means_last_image_for_deviations "
        "minimum_of_channels_last_of_images minimum_of_channels_first_of_images "
        "first_of_channels_minimum_of_images first_of_channels_maximum_of_images "
        "mean_of_channels_minimum_of_images sum_of_channels_minimum_of_images "
        "maximum_of_channels_minimum_of_images median_of_channels_maximum_of_images "
        "median_of_channels_minimum_of_images minimum_of_channels_maximum_of_images "
        "minimum_of_channels_minimum_of_images last_of_channels_minimum_of_images "
        "last_of_channels_maximum_of_images"
    ),
    "gaussian_loss": (
        "sum_0_1_1_2 spread_twice_M overlap_diagonals overlap_eigenvalues_not_rooted "
        "overlap_diagonal_roots overlap_root_of_sum overlap_frobenius "
        "spread_batch_M_squared minimum_of_images"
    ),
    "sliced_loss": (
        "sorted_over_images order_of_the_target features_over_root reduced_mean_last_mean "
        "features_centered mean_of_images_first products_of_images "
        "reduced_maximum_minimum_mean reduced_maximum_first_mean "
        "reduced_maximum_mean_mean reduced_maximum_sum_mean reduced_maximum_mean_sum "
        "reduced_maximum_mean_maximum reduced_maximum_mean_median "
        "reduced_maximum_mean_minimum reduced_maximum_mean_first "
        "reduced_maximum_mean_last reduced_maximum_maximum_mean "
        "reduced_maximum_median_mean reduced_maximum_last_mean "
        "reduced_minimum_mean_mean reduced_minimum_sum_mean reduced_minimum_mean_sum "
        "reduced_minimum_mean_median reduced_minimum_mean_minimum "
        "reduced_minimum_maximum_mean reduced_minimum_first_mean"
    ),
    "nearest": (
        "center_own_own_length_deviation_places center_own_own_length_deviation_deviation "
        "center_own_median_length_places_places center_own_own_length_length_deviation "
        "center_own_both_length_length_places center_own_median_length_length_places "
        "center_own_halves_length_length_places center_own_own_length_deviation_length "
        "center_own_own_length_deviation_nothing center_own_halves_length_places_places "
        "center_both_both_length_length_places center_halves_halves_length_places_places "
        "center_median_median_length_length_places ranks_of_columns"
    ),
    "bands_of": ("down_first_of_two down_second_of_two"),
    "structure_divergence": (
        "rows_maximum_channel_right rows_sum_place_right absolute_values "
        "last_of_minimum_of_rows minimum_of_last_of_rows"
    ),
}
"""Members of families that give what another version gives, whatever the input is or on the
inputs of the exercise. They are left out.
"""


def with_families(exercises: Iterable[Exercise]) -> tuple[Exercise, ...]:
    """Exercises, and to each its families of mistakes."""
    return tuple(replace(each, rarer=_different(each.name)) for each in exercises)


def _different(name: str) -> tuple[Wrong, ...]:
    same = {*SAME.get(name, "").split(), *ALIKE.get(name, ())}
    return tuple(wrong for wrong in FAMILIES.get(name, ()) if wrong.name not in same)
