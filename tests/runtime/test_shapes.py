"""Picture sizes, ranges and dimension words."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.shapes import ShapeRange, Shapes, range_of, size_of

TALL = ShapeRange(256, 512, 768)
WIDE = ShapeRange(320, 640, 1024)


@pytest.mark.parametrize("sides", [(0, 1, 1), (2, 1, 3), (1, 3, 2), (-1, 1, 1)])
def test_a_range_that_does_not_ascend_from_one_is_refused(sides):
    with pytest.raises(ValueError, match="need 0 < min <= opt <= max, got " + ", ".join(map(str, sides))):
        ShapeRange(*sides)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"height": TALL},
        {"width": WIDE},
        {"sizes": ((512, 512),), "height": TALL, "width": WIDE},
        {"sizes": ((512, 512),), "width": WIDE},
    ],
)
def test_shapes_are_sizes_or_two_ranges_and_never_both_or_half(arguments):
    with pytest.raises(ValueError, match="either sizes, or both height and width"):
        Shapes(**arguments)


@pytest.mark.parametrize("arguments", [{"batch": 0}, {"batch": -1}, {"sizes": ((0, 512),)}, {"sizes": ((512, -8),)}])
def test_sides_and_batch_are_positive(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        Shapes(**{"sizes": ((512, 512),), **arguments})


def test_the_default_size_is_the_first_or_the_usual():
    assert Shapes(((512, 768), (640, 640))).default_size == (512, 768)
    assert Shapes(height=TALL, width=WIDE).default_size == (512, 640)


def test_corners_are_the_list_or_the_ends_of_the_ranges():
    assert Shapes(((512, 768), (640, 640))).corners == ((512, 768), (640, 640))
    assert Shapes(height=TALL, width=WIDE).corners == ((256, 320), (512, 640), (768, 1024))


@pytest.mark.parametrize("size", [(512, 768), (640, 640)])
def test_a_listed_size_fits(size):
    Shapes(((512, 768), (640, 640))).check_size(*size, multiple=64)


@pytest.mark.parametrize("size", [(768, 512), (512, 640), (512, 512)])
def test_a_size_that_is_not_listed_is_refused_with_the_list(size):
    message = f"built for 512x768, 640x640 .*not {size[0]}x{size[1]}$"
    with pytest.raises(BadRequest, match=message):
        Shapes(((512, 768), (640, 640))).check_size(*size, multiple=64)


@pytest.mark.parametrize("size", [(256, 320), (768, 1024), (512, 640)])
def test_a_size_at_the_ends_or_inside_of_ranges_fits(size):
    Shapes(height=TALL, width=WIDE).check_size(*size, multiple=64)


@pytest.mark.parametrize("size", [(192, 640), (832, 640), (512, 256), (512, 1088)])
def test_a_size_outside_of_ranges_is_refused_with_the_ranges(size):
    with pytest.raises(BadRequest, match="height 256 to 768, width 320 to 1024"):
        Shapes(height=TALL, width=WIDE).check_size(*size, multiple=64)


@pytest.mark.parametrize("size", [(260, 640), (512, 644)])
def test_a_size_between_multiples_is_refused(size):
    with pytest.raises(BadRequest, match=f"multiples of 8, got {size[0]}x{size[1]}"):
        Shapes(height=TALL, width=WIDE).check_size(*size, multiple=8)


def test_extents_of_ranges_are_the_ranges():
    assert Shapes(height=TALL, width=WIDE).extents((2, 1)) == {
        "batch": ShapeRange(1, 2, 2), "height": TALL, "width": WIDE, "tokens": ShapeRange(77, 77, 308),
    }  # fmt: skip


def test_extents_of_sizes_span_them_and_the_first_is_usual():
    found = Shapes(((512, 768), (640, 640), (448, 832))).extents((1,))
    assert found == {
        "batch": ShapeRange(1, 1, 1), "height": ShapeRange(448, 512, 640), "width": ShapeRange(640, 768, 832),
        "tokens": ShapeRange(77, 77, 308),
    }  # fmt: skip


@pytest.mark.parametrize("chunks, most", [(1, 77), (2, 154), (16, 1232)])
def test_a_prompt_has_one_chunk_of_77_tokens_or_as_many_as_were_built_for(chunks, most):
    found = Shapes(((512, 512),), prompt_chunks=chunks).extents((1,))
    assert found["tokens"] == ShapeRange(77, 77, most)


@pytest.mark.parametrize("chunks", [0, -1, 17])
def test_prompts_of_no_chunk_or_of_too_many_are_refused(chunks):
    with pytest.raises(ValueError, match=f"prompt_chunks is {chunks}; it must be from 1 to 16"):
        Shapes(((512, 512),), prompt_chunks=chunks)


@pytest.mark.parametrize("dim, size", [(77, 77), ("batch", 3), ("height/8", 80), ("width", 512)])
def test_a_dimension_is_a_number_a_word_or_a_word_over_a_divisor(dim, size):
    assert size_of(dim, {"batch": 3, "height": 640, "width": 512}) == size


def test_a_dimensions_range_is_divided_on_every_side():
    words = {"height": TALL}
    assert range_of("height/8", words) == ShapeRange(32, 64, 96)
    assert range_of("height", words) == TALL
    assert range_of(4, words) == ShapeRange(4, 4, 4)
