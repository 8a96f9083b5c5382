"""The documentation says what the code does."""

from pathlib import Path

import pytest

import aquatint
from aquatint.catalogue import describe_schemes, schemes_markdown
from aquatint.targets import all_targets

DOCS = Path(aquatint.__file__).parent / "docs"


@pytest.mark.skipif(not DOCS.is_dir(), reason="installed without its documentation")
def test_the_table_of_schemes_is_the_codes_own():
    page = (DOCS / "quantization.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- schemes -->\n")[2].partition("<!-- /schemes -->")[0].strip()
    assert shown == schemes_markdown()


def test_every_scheme_says_where_it_runs():
    rows = {row["scheme"]: row for row in describe_schemes()}
    assert set(rows["int8-weights"]["targets"]) == set(all_targets())
    assert "openvino:cpu" in rows["nf4"]["targets"]
    assert {word.partition(":")[0] for word in rows["fp8"]["targets"]} == {"tensorrt"}
    assert rows["int8"]["calibrated"]
    assert not rows["int8-weights"]["calibrated"]
