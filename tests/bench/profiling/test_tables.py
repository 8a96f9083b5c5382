"""Profiles as tables."""

import pytest

from aquatint.bench.profiling.tables import by_block, by_kind, explained, slowest, texts


def test_kinds_stand_by_time_with_their_shares(made_up):
    rows = by_kind(made_up).rows
    assert rows[0].labels == ("unet", "attention", "fp16")
    assert rows[0].calls == 3
    assert rows[0].share == pytest.approx(0.3)
    assert rows[1].labels == ("unet", "convolution", "fp16")
    assert [row.seconds for row in rows] == sorted((row.seconds for row in rows), reverse=True)


@pytest.mark.parametrize("make", [by_kind, by_block, slowest, explained])
def test_shares_sum_to_one(make, made_up, measured):
    for profile in (made_up, measured):
        rows = make(profile).rows if make is not slowest else slowest(profile, 10_000).rows
        assert sum(row.share for row in rows) == pytest.approx(1)
        assert rows[-1].cumulative == pytest.approx(1)


def test_blocks_are_cut_at_a_depth(made_up):
    found = {row.labels: row.seconds for row in by_block(made_up, 1).rows}
    assert found["unet", "down_blocks.0"] == pytest.approx(0.003)
    assert found["unet", "-"] == pytest.approx(0.0015)
    assert ("unet", "down_blocks.0/resnets.0") in {row.labels for row in by_block(made_up, 2).rows}
    with pytest.raises(ValueError, match="depth 0: want 1 or more"):
        by_block(made_up, 0)


def test_blocks_may_count_together_whatever_their_number(made_up):
    found = {row.labels: row.calls for row in by_block(made_up, 1, numbers=False).rows}
    assert found["unet", "down_blocks"] == 9


def test_the_slowest_stand_alone(made_up):
    assert [row.labels[-1] for row in slowest(made_up, 2).rows] == ["heads", "conv"]


def test_what_operators_explain_of_a_component(made_up):
    found = {row.labels[0]: row for row in explained(made_up).rows}
    assert found["text_encoder"].labels[1] == "50 %"
    assert found["unet"].seconds == 0.0085
    assert found["unet"].calls == 3


def test_texts_are_cells_for_the_terminal(made_up):
    rows, head = texts(by_kind(made_up))
    assert head == ("component", "operator", "precision", "calls", "ms", "share", "cumulative")
    assert rows[0] == ("unet", "attention", "fp16", "3", "3", "30.0 %", "30.0 %")
