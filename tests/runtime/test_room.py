"""Whether a bundle fits, by what its manifest says."""

from dataclasses import replace

import pytest

from aquatint.runtime.errors import OutOfMemory
from aquatint.runtime.manifest import Bound, Component
from aquatint.runtime.room import check_room, needed_bytes
from aquatint.runtime.session import EngineOptions

GB = 10**9
UNET, VAE, TEXT = (
    Component(name, "x", "fp16", (), (), memory={"weights_bytes": weights * GB, "scratch_bytes": scratch * GB})
    for name, weights, scratch in (("unet", 5, 2), ("vae_decoder", 1, 4), ("text_encoder", 2, 0))
)
PARTS = (UNET, VAE, TEXT)
ALL, ONE = EngineOptions(), EngineOptions(residency="one")


def refusal(parts, options, free):
    with pytest.raises(OutOfMemory) as caught:
        check_room(parts, options, free)
    return str(caught.value)


def test_all_weights_and_the_largest_scratch_are_needed():
    assert needed_bytes(PARTS, "all") == (5 + 1 + 2 + 4) * GB


def test_one_at_a_time_needs_the_largest_with_its_own_scratch():
    assert needed_bytes(PARTS, "one") == (5 + 2) * GB


def test_what_is_not_known_counts_as_nothing():
    assert needed_bytes((replace(UNET, memory={}),), "all") == 0
    assert needed_bytes((), "all") == needed_bytes((), "one") == 0


@pytest.mark.parametrize("options, free", [(ALL, 12 * GB), (ONE, 7 * GB)])
def test_what_just_fits_is_admitted(options, free):
    check_room(PARTS, options, free)


def test_where_one_at_a_time_fits_that_is_said():
    assert refusal(PARTS, ALL, 12 * GB - 1) == (
        "the bundle needs 12.00 GB of the GPU's memory, and 12.00 GB are free; "
        "--low-memory (residency one) needs 7.00 GB"
    )


@pytest.mark.parametrize("options", [ALL, ONE])
def test_where_nothing_fits_smaller_bundles_are_named(options):
    said = refusal(PARTS, options, 6 * GB)
    assert said.startswith(
        f"the bundle needs {'12' if options is ALL else '7'}.00 GB of the GPU's memory, and 6.00 GB "
    )
    assert "--quantize int8 or int4" in said
    assert "--low-memory" not in said


def test_streamed_weights_need_no_room_at_first():
    streamed = replace(UNET, bound=Bound("sm89", {}, options={"weight_streaming": True}))
    check_room((streamed, VAE, TEXT), ALL, 7 * GB)
    refusal((replace(UNET, bound=Bound("sm89", {}, options={"weight_streaming": False})), VAE, TEXT), ALL, 7 * GB)
