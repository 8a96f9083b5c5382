"""What may be lost: the words of --budget, and the fields of a profile."""

import pytest

from aquatint.profiles.budget import LARGEST_ERROR, Budget, read_budget
from aquatint.profiles.profile import read_profile
from aquatint.runtime.errors import BadProfile


@pytest.mark.parametrize(
    "word, budget",
    [
        ("30", Budget(LARGEST_ERROR, 30)),
        ("psnr=30", Budget(LARGEST_ERROR, 30)),
        ("psnr_db=30,latent_distance=0.2", Budget(LARGEST_ERROR, 30, latent_distance=0.2)),
        ("psnr=30,ssim=0.9,latent=0.1,judge=4", Budget(LARGEST_ERROR, 30, 0.9, 0.1, 4)),
        (" 25 , ssim = .5 ", Budget(LARGEST_ERROR, 25, 0.5)),
        ("judge=0", Budget(LARGEST_ERROR, 0, judge=0)),
        ("relative_error=0.1", Budget(0.1, 0)),
    ],
)
def test_the_option_is_a_psnr_or_words_with_numbers(word, budget):
    found = read_budget(word)
    assert found == budget
    assert type(found.judge) is type(budget.judge)


@pytest.mark.parametrize(
    "word, message",
    [
        ("", "psnr_db is '', which is not a number"),
        ("good", "psnr_db is 'good', which is not a number"),
        ("30,", "gives psnr_db twice"),
        ("lpips=0.1", "has 'lpips'; known: psnr, ssim, latent, judge, relative_error"),
        ("=3", "has ''; known"),
        ("ssim=", "ssim is '', which is not a number"),
        ("psnr=30,psnr_db=31", "gives psnr_db twice"),
        ("30,psnr=31", "gives psnr_db twice"),
        ("judge=1.5", "judge is '1.5', which is not a whole number"),
        ("judge=many", "judge is 'many', which is not a whole number"),
        ("judge=201", "judge is 201; it must be from 0 to 200"),
        ("judge=1" + 400 * "0", "0; it must be from 0 to 200"),
        ("judge=-1", "judge is -1; it must be from 0 to 200"),
        ("nan", "psnr_db is nan; it must be from 0 to 100"),
        ("inf", "psnr_db is inf; it must be from 0 to 100"),
        ("-3", "psnr_db is -3; it must be from 0 to 100"),
        ("ssim=1.1", "ssim is 1.1; it must be from 0 to 1"),
        ("latent=nan", "latent_distance is nan; it must be from 0 to 1"),
        ("relative_error=0", "relative_error is 0; it must be more than 0"),
    ],
)
def test_other_words_are_refused_in_one_line(word, message):
    with pytest.raises(BadProfile, match=message) as refused:
        read_budget(word)
    assert str(refused.value).startswith(f"--budget {word!r}")
    assert "\n" not in str(refused.value)


@pytest.fixture
def read(tmp_path):
    """The budget of a profile with these lines."""

    def read_lines(*lines):
        text = 'description = "for a test"\nprecision = {default = "fp32"}\n[budget]\n' + "\n".join(lines)
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        return read_profile(str(tmp_path / "mine.toml")).budget

    return read_lines


def test_a_profile_says_the_same_words(read):
    least = ("relative_error = 1e-3", "psnr_db = 50")
    assert read(*least) == Budget(1e-3, 50.0, None, None, None)
    assert read(*least, "ssim = 0.98", "latent_distance = 0.05", "judge = 4") == Budget(1e-3, 50.0, 0.98, 0.05, 4)


@pytest.mark.parametrize("line", ["ssim = 2", "ssim = nan", "judge = 4.5", "judge = true", "latent_distance = -1"])
def test_a_profile_with_an_impossible_budget_is_refused(read, line):
    with pytest.raises(BadProfile, match=r"^profile mine: budget"):
        read("relative_error = 1e-3", "psnr_db = 50", line)


@pytest.mark.parametrize("missing", ["relative_error", "psnr_db"])
def test_the_two_that_every_profile_has_stay_asked(read, missing):
    lines = [line for line in ("relative_error = 1e-3", "psnr_db = 50") if not line.startswith(missing)]
    with pytest.raises(BadProfile, match=f"lacks the key {missing}"):
        read(*lines)
