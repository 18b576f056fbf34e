"""What pip installs holds the templates and the files of the pages, and they stay within their bounds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACE = ROOT / "gateway" / "face"
MOST_LINES = {"*.js": 1000, "*.html": 2000}


def test_the_wheel_has_every_template_and_file(tmp_path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="the builder of wheels is not installed: pip install hatchling")
    built = next(wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(built) as file:
        inside = set(file.namelist())
    wanted = {str(path.relative_to(ROOT)) for path in FACE.rglob("*") if path.suffix in {".html", ".css", ".js"}}
    assert len(wanted) > 5
    assert wanted <= inside


@pytest.mark.parametrize("kind", MOST_LINES)
def test_there_is_little_of_it(kind) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in FACE.rglob(kind))
    assert 0 < lines < MOST_LINES[kind]


def test_no_template_has_script_style_or_unescaped_data() -> None:
    for path in FACE.rglob("*.html"):
        text = path.read_text()
        assert "|safe" not in text.replace(" ", ""), path
        assert "style=" not in text, path
        assert " on" + "click" not in text, path
        assert text.count("<script") == text.count('<script src="{{ home }}/static/'), path
        assert "https://" not in text, path
