"""The benchmarks of speed: what they answer, and how goals are judged and told. Nothing is timed here."""

import json
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MACHINE = {"python": "3", "versions": {"numpy": "2"}, "processor": "P", "n_cpus": 2, "most_threads": 1}

pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="the benchmarks are in the repository only")


@pytest.fixture
def command(monkeypatch):
    """Return the names in `python -m benchmarks`, whose import adds to the path."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return runpy.run_path(str(BENCHMARKS / "__main__.py"))


def case(**changes):
    return {
        "case": "fit / peer", "ratio": 4.0, "least": 3.0, "largest": 5.5,
        "at_most": False, "goal": 4.0, "stretch": None,
        "ours_ms": 1.5, "peer_ms": 6.0, "ours_mb": 2.0, "peer_mb": None, "goal_mb": None,
    } | changes  # fmt: skip


def test_every_benchmark_of_speed_opens_with_its_question(command):
    for name in command["NAMES"]:
        question = command["question_of"](BENCHMARKS / f"bench_{name}.py")
        assert question.endswith("?"), name


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"ratio": 3.99}, False),
        ({"at_most": True}, True),
        ({"at_most": True, "ratio": 4.01}, False),
        ({"goal": None}, None),
        ({"goal_mb": 2.0}, True),
        ({"goal_mb": 1.9}, False),
        ({"goal": None, "goal_mb": 1.9}, False),
    ],
    ids=str,
)
def test_goals_are_judged_by_time_and_memory(command, changes, expected):
    assert command["reached"](case(**changes)) is expected


def test_the_page_names_what_is_not_reached(command, tmp_path):
    results = {
        "fit": {
            "question": "How fast?",
            "seconds": 60.0,
            "machine": MACHINE,
            "cases": [case(), case(case="slow / peer", ratio=1.25, stretch=5.0), case(at_most=True, goal=None)],
        }
    }
    kept = {"fit": results["fit"] | {"machine": {"processor": "Q"}, "cases": [case(case="old / peer", ratio=2.0)]}}
    (tmp_path / "speed-q.json").write_text(json.dumps({"results": kept}))
    command["write_page"](tmp_path / "speed.md", results, quick=False, n_rounds=5)
    page = (tmp_path / "speed.md").read_text()
    assert "1 of 2 goals are reached." in page
    assert "Q, an earlier version ([speed-q.json](speed-q.json)): 0 of 1 goals are reached." in page
    assert "- old / peer: 2.0 (goal >= 4)" in page
    assert "- slow / peer: 1.2 (goal >= 4 (5))" in page
    assert "| fit / peer | 4.0 | 3.0-5.5 | >= 4 | reached | 1.5 | 6 | 2.0 |  |" in page
    assert "times as long" in page


def test_the_page_begins_with_what_takes_how_long(command, tmp_path):
    one_row = {
        "cases": [case(case="one row, auto, K = 10 / peer", ours_ms=0.02764), case(case="one row, auto / other")]
    }
    rest = {"question": "How fast?", "seconds": 60.0, "machine": MACHINE}
    command["write_page"](tmp_path / "speed.md", {"one_row": one_row | rest}, quick=False, n_rounds=5)
    line = "| calibrate by the default method and route one row of 10 classes | 0.0276 | peer | 6 |"
    assert line in (tmp_path / "speed.md").read_text()


def test_all_that_the_page_begins_with_was_measured(command):
    results = json.loads((BENCHMARKS.parent / "docs/benchmarks/speed.json").read_text())["results"]
    for name, start, words in command["write_page"].__globals__["SHORT"]:
        assert any(found["case"].startswith(start) for found in results[name]["cases"]), words


@pytest.mark.parametrize("arguments", [["--rounds", "4"], ["--write", "--only", "fit"], ["--only", "bogus"]], ids=str)
def test_bad_options_are_refused(command, arguments, capsys):
    with pytest.raises(SystemExit):
        command["read_options"](arguments)
    assert "error" in capsys.readouterr().err
