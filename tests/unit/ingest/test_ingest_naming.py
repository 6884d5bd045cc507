from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.ingest.naming import UNNAMED, project_name, stamped


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("13_Camille", "13 Camille"),
        ("115_Camille_batch2", "115 Camille"),
        ("115 Camille", "115 Camille"),
        ("13_Camille_1", "13 Camille"),
        ("13__Camille", "13 Camille"),
        ("13_CamilleB", "13 CamilleB"),
        ("007_Camille v2", "007 Camille v2"),
        ("Camille-13", "Camille-13"),
        ("Camille<>:x", "Camille___x"),
        ("Camille_Martin_v2", "Camille Martin"),
        ("Camille_12", "Camille"),
        ("Camille_camille_x", "Camille"),
        ("13_Paul_Camille", "13 Paul"),
        ("Projet_final_Camille", "Projet final Camille"),
        ("2024_12_Camille", "2024 12 Camille"),
        ("CAMILLE_été_A", "CAMILLE été"),
        ("camille_final_v2_1", "camille final"),
        ("___", UNNAMED),
        ("..", UNNAMED),
        ("a\nb & c", "a_b _ c"),
        ("CAMILLE_e\u0301te\u0301", "CAMILLE été"),
    ],
)
def test_project_name(stem: str, expected: str) -> None:
    assert project_name(stem, "Camille") == expected


def test_the_keyword_can_be_another() -> None:
    assert project_name("13_Zoé_x", "zoé") == "13 Zoé"
    assert project_name("Zoé_12", "zoé") == "Zoé"
    assert project_name("Zoé_12", "Camille") == "Zoé 12"


def test_a_long_name_leaves_room_for_the_time() -> None:
    assert len(stamped(project_name("é" * 300, "x"), datetime(2025, 1, 2, tzinfo=UTC)).encode()) <= 240


def test_stamped() -> None:
    created = datetime(2025, 10, 6, 7, 51, 55, tzinfo=UTC)
    assert stamped("13 Camille", created) == "13 Camille 2025-10-06_07-51-55"
    assert stamped("13 Camille", None) == "13 Camille"
