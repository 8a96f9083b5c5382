"""A profile as a file, there and back."""

from dataclasses import replace

import pytest

from aquatint.profiles.profile import QuantizeRule, names, read_profile
from aquatint.profiles.write import check_place, write_profile
from aquatint.runtime.errors import OutputFailed


@pytest.mark.parametrize("name", names())
def test_what_is_written_reads_back(name, tmp_path):
    rule = QuantizeRule("int4", layers="down_blocks.*", component="unet", settings={"group_size": 32})
    profile = replace(read_profile(name), quantize={"unet": "none"}, rules=(rule, QuantizeRule("none", kind="conv")))
    write_profile(profile, tmp_path / "mine.toml", "words")
    assert read_profile(str(tmp_path / "mine.toml")) == replace(profile, name="mine", description="words")


def test_places_that_can_not_be_are_refused(tmp_path):
    with pytest.raises(OutputFailed, match=r"must end with \.toml"):
        check_place(tmp_path / "mine.json")
    with pytest.raises(OutputFailed, match="there is no folder"):
        check_place(tmp_path / "none" / "mine.toml")
