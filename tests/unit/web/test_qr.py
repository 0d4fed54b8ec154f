from __future__ import annotations

import pytest

from quanmin.web.qr import TEXT_BYTES_MAX, qr_code


def test_a_code_is_an_image_with_a_name_and_without_the_text_itself() -> None:
    drawn = qr_code("https://node.example/check/7GJ2", 'A "code" <b>')
    assert drawn.startswith('<div class="qr" role="img" aria-label="A &#34;code&#34; &lt;b&gt;">')
    assert "7GJ2" not in drawn
    assert len(drawn) < 4000
    assert drawn == qr_code("https://node.example/check/7GJ2", 'A "code" <b>')
    assert drawn != qr_code("https://node.example/check/7GJ3", 'A "code" <b>')


@pytest.mark.parametrize("text", ["", "x" * (TEXT_BYTES_MAX + 1), "全" * 401])
def test_what_no_camera_reads_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="holds 1 to"):
        qr_code(text, "code")
