"""The documentation names everything that there is, and nothing that there is not."""

import re
from pathlib import Path

import pytest

from service_kit.settings import variables

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("variable", variables())
def test_each_setting_is_documented(variable: str) -> None:
    assert f"`{variable}`" in CONFIGURATION


def test_each_documented_setting_exists() -> None:
    in_tables = "\n".join(line.split("|")[1] for line in CONFIGURATION.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([A-Z_]+)`", in_tables)) == set(variables())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_between_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http:", "https:"))]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]
    assert sorted(numbers) == sorted(set(numbers))
