"""What the model card says of the licence."""

import pytest

from aquatint.compile.draft import license_of


@pytest.mark.parametrize(
    "card, licence",
    [
        ("---\nlicense: creativeml-openrail-m\ntags:\n- a\n---\n# Model\n", "creativeml-openrail-m"),
        ("---\ntags:\n- a\nlicense: mit\n---\n", "mit"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ('---\nlicense: "apache-2.0"\n---\n', "apache-2.0"),
        ("---\nlicense: other  # see LICENSE\nlicense_name: sai-nc\n---\n", "other"),
        ("---\nlicense:\n- openrail++\n---\n", "openrail++"),
        ("---\nlicense:\nlicense_name: x\n---\n", None),
        ("---\ntags:\n- a\n---\nlicense: not-the-cards\n", None),
        ("---\nbase_license: mit\n---\n", None),
        ("# Model\nlicense: mit\n", None),
        ("---\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_the_licence_is_the_front_matters(tmp_path, card, licence):
    (tmp_path / "README.md").write_bytes(card.encode())
    assert license_of(tmp_path) == licence


def test_a_card_in_another_encoding_is_read(tmp_path):
    (tmp_path / "README.md").write_bytes("---\nauthor: Jos\xe9\nlicense: mit\n---\n".encode("latin-1"))
    assert license_of(tmp_path) == "mit"


def test_without_a_card_there_is_no_licence(tmp_path):
    assert license_of(tmp_path) is None
