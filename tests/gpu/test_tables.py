"""Figures, bars and tables of a result that nobody measured, against numbers worked out by hand."""

import pytest

from aquatint.tests.gpu.__main__ import passed
from aquatint.tests.gpu.bars import bars
from aquatint.tests.gpu.summary import figures
from aquatint.tests.gpu.tables import as_markdown, as_text


def figure_of(result, name, variant):
    return next(one for one in figures(result) if (one.name, one.variant) == (name, variant))


def test_a_step_is_the_median_of_all_pictures_of_the_warm_process(made_up):
    found = figure_of(made_up, "ort:cuda", "defaults")
    assert found.step_ms == pytest.approx(20.0)
    assert found.step_p90_ms == pytest.approx(62.0)  # of 10, 20, 20, 80: 0.7 of the way from the third to the last
    assert found.picture_s == 2.0
    assert (found.cold_s, found.warm_s) == (4.0, 3.0)


def test_memory_is_that_of_the_warm_process_and_the_engines_own_is_the_manifests(made_up):
    found = figure_of(made_up, "ort:cuda", "defaults")
    assert found.vram_bytes == 3 * 10**9
    assert found.engine_bytes == 700 + 100 + 50  # all weights, and the larger scratch
    assert figure_of(made_up, "diffusers compile", "max-autotune").engine_bytes == 3 * 10**9


def test_bars_are_met_and_missed_by_the_ratio_over_torch_compile(made_up):
    found = {bar.what: (bar.ratio, bar.verdict) for bar in bars(figures(made_up))}
    assert found == {
        "time of a step": (pytest.approx(0.5), "met"),
        "GPU memory": (pytest.approx(0.75), "missed"),
        "process start to first picture": (pytest.approx(0.1), "met"),
    }


def test_memory_that_was_counted_in_two_ways_is_compared_by_what_the_gpu_grew(made_up):
    for entry in made_up["stages"]:
        if entry.get("name") == "diffusers compile":
            entry["vram"]["process_bytes"] = None
    found = {bar.what: bar.ratio for bar in bars(figures(made_up))}
    assert found["GPU memory"] == pytest.approx(5 / 20)


def test_a_bar_without_its_baseline_is_not_measured(made_up):
    made_up["stages"] = [entry for entry in made_up["stages"] if entry.get("name") != "diffusers compile"]
    assert {bar.verdict for bar in bars(figures(made_up))} == {"not measured"}
    assert "Ratios: over diffusers eager" in as_text(made_up)


def test_the_tables_show_ratios_verdicts_and_what_failed(made_up):
    page = as_markdown(made_up)
    ours = next(line for line in page.splitlines() if line.startswith("| sd15 | ort:cuda | defaults"))
    assert ours.endswith(
        "| 4.00 s | 3.00 s | 20.00 ms | 62.00 ms | 2.00 s | 3 GB | 850 bytes | 0.500 | 0.750 | 0.100 |"
    )
    assert "| sd15 | ort:cuda | GPU memory | 0.70 | 0.750 | missed |" in page
    assert "| demo-exact | ort:cuda | openvino:cpu | text, ddim | 49.0 dB | 50 dB | NO |" in page
    assert "| compile demo tensorrt:sm89 | no / plan |" in page
    for title in ("Machine", "Compiles", "Pictures", "Figures", "Bars", "Failed"):
        assert title in as_text(made_up)


def test_a_failed_stage_or_an_unlike_picture_fails_the_proof_and_a_missed_bar_does_not(made_up):
    assert not passed(made_up)
    made_up["pictures"] = []
    assert not passed(made_up)
    made_up["stages"] = [entry for entry in made_up["stages"] if entry["ok"]]
    assert passed(made_up)
    made_up["pictures"] = [{"alike": False}]
    assert not passed(made_up)
