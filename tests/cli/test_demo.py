import gzip

import numpy as np
import polars as pl
import pytest

from skroute import RoutePolicy
from skroute.cli import main
from skroute.cli._demo import LEAST_ROWS, lowest_threshold
from skroute.datasets import make_tickets


@pytest.fixture(scope="module")
def tickets():
    made = make_tickets(600, random_state=0)
    return pl.DataFrame({"body": made.data, "queue": made.target})


def run(capsys, *arguments):
    code = main(["demo", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def failure(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("skroute:")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert "Traceback" not in err
    return lines[0]


def test_generated_tickets(capsys):
    code, out, _ = run(capsys, "--samples", 1500)
    assert code == 0
    assert "1500 tickets, 7 classes" in out
    for word in ("(all)", "security_incident", "Before calibration the worst class is", "After calibration"):
        assert word in out
    assert out.count("of the test rows auto-routed") == 2


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_file_kinds(tickets, tmp_path, capsys, kind):
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        tickets.write_parquet(path)
    elif kind == "csv":
        tickets.write_csv(path)
    else:
        path.write_bytes(gzip.compress(tickets.write_csv().encode()))
    code, out, _ = run(capsys, path, "--text", "body", "--label", "queue")
    assert code == 0
    assert "600 tickets, 7 classes" in out


def test_rows_without_a_label_are_left_out_and_counted(tickets, tmp_path, capsys):
    path = tmp_path / "log.parquet"
    pl.concat([tickets, pl.DataFrame({"body": ["who knows", None], "queue": [None, "  "]})]).write_parquet(path)
    _, out, _ = run(capsys, path, "--text", "body", "--label", "queue")
    assert "600 tickets" in out
    assert "(2 rows without a label left out)" in out


def test_markup_in_labels_is_printed_as_it_is(tickets, tmp_path, capsys):
    path = tmp_path / "log.csv"
    tickets.with_columns(pl.col("queue").str.replace("vpn_issue", "[red]vpn[/nope]", literal=True)).write_csv(path)
    code, out, _ = run(capsys, path, "--text", "body", "--label", "queue")
    assert code == 0
    assert "[red]vpn[/nope]" in out


def test_class_with_two_rows_runs_and_is_never_routed(tickets, tmp_path, capsys):
    path = tmp_path / "log.csv"
    rare = pl.DataFrame({"body": ["coffee machine is empty", "coffee is cold"], "queue": ["coffee"] * 2})
    pl.concat([tickets, rare]).write_csv(path)
    code, out, _ = run(capsys, path, "--text", "body", "--label", "queue")
    assert code == 0
    assert "note:" in out
    assert "'coffee' (1 row)" in out


def test_missing_file(capsys, tmp_path):
    assert "there is no file" in failure(capsys, tmp_path / "none.csv")


def test_missing_column(tickets, tmp_path, capsys):
    path = tmp_path / "log.csv"
    tickets.write_csv(path)
    assert "has no column 'label'; its columns are body, queue" in failure(capsys, path, "--text", "body")


@pytest.mark.parametrize(("name", "content"), [("log.csv", b""), ("log.csv", b"text,label\n")])
def test_empty_file(tmp_path, capsys, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    message = failure(capsys, path)
    assert "is empty" in message or "holds no rows" in message


@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz", "log.csv", "log.docx"])
def test_unreadable_file(tmp_path, capsys, name):
    path = tmp_path / name
    path.write_bytes(b'\xff\xfe\x00"broken\nx' * 5)
    message = failure(capsys, path)
    assert any(text in message for text in ("cannot be read", "unknown kind", "has no column"))


def test_class_with_one_row(tickets, tmp_path, capsys):
    path = tmp_path / "log.csv"
    pl.concat([tickets, pl.DataFrame({"body": ["lone"], "queue": ["lonely"]})]).write_csv(path)
    message = failure(capsys, path, "--text", "body", "--label", "queue")
    assert "classes with one row: lonely" in message


@pytest.mark.parametrize("texts", [["", None, " "] * 20, list(range(60)), ["12.5", "!", "--"] * 20])
def test_column_without_text(tmp_path, capsys, texts):
    path = tmp_path / "log.csv"
    pl.DataFrame({"text": texts, "label": ["a", "b", "c"] * 20}).write_csv(path)
    assert "column 'text'" in failure(capsys, path)


def test_too_few_rows_to_cross_fit(tmp_path, capsys):
    path = tmp_path / "log.csv"
    pl.DataFrame({"text": ["red cat", "blue dog"] * 3, "label": ["a", "b"] * 3}).write_csv(path)
    assert "cannot be fitted: y must hold at least two rows" in failure(capsys, path)


def test_texts_without_a_word_in_common(tmp_path, capsys):
    path = tmp_path / "log.csv"
    words = ["w" + "".join(chr(97 + int(digit)) for digit in str(10_000 + i)) for i in range(2000)]
    pl.DataFrame({"text": words, "label": ["a", "b"] * 1000}).write_csv(path)
    assert "cannot be fitted: After pruning, no terms remain" in failure(capsys, path)


def test_a_text_column_given_as_label(tmp_path, capsys):
    path = tmp_path / "log.csv"
    pl.DataFrame({"text": ["red cat", "blue dog"] * 9, "label": ["long " * 90, "b"] * 9}).write_csv(path)
    assert "is it the text?" in failure(capsys, path)


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    path = tmp_path / "log.parquet"
    labels = ["\x1b[31mred", "b\nlue"] * 100
    pl.DataFrame({"text": ["red cat", "blue dog"] * 100, "label": labels}).write_parquet(path)
    code, out, _ = run(capsys, path)
    assert code == 0
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out


def test_single_class(tmp_path, capsys):
    path = tmp_path / "log.csv"
    pl.DataFrame({"text": ["some words"] * 5, "label": ["a"] * 5}).write_csv(path)
    assert "single class" in failure(capsys, path)


def test_column_without_labels(tmp_path, capsys):
    path = tmp_path / "log.csv"
    pl.DataFrame({"text": ["some words"] * 5, "label": [""] * 5}).write_csv(path)
    assert "holds no labels" in failure(capsys, path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-error", "1.5"], "--max-error must be more than 0"),
        (["--samples", "10"], "--samples must be at least 200"),
        (["--text", "body"], "no FILE is given"),
        (["log.csv", "--samples", "500"], "but FILE is given"),
        (["--seed", "-1"], "--seed must lie between 0 and"),
        (["--jobs", "0"], "--jobs must be a number of workers"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    assert message in failure(capsys, *arguments)


def test_the_one_threshold_is_the_lowest_that_holds_the_error():
    random = np.random.default_rng(0)
    scores = random.choice(np.linspace(0.5, 1.0, 40), 2000)
    proba = np.column_stack([scores, 1.0 - scores])
    y = np.where(random.random(2000) < scores, "a", "b")
    routes = RoutePolicy(margin=None, max_entropy=None).fit(proba, classes=["a", "b"]).explain(proba)
    found = lowest_threshold(y, routes, 0.1)

    def error(threshold):
        rows = scores >= threshold
        return np.mean(y[rows] != "a") if rows.sum() >= LEAST_ROWS else 1.0

    good = [threshold for threshold in np.unique(scores) if error(threshold) <= 0.1]
    assert found == min(good)
    few = slice(LEAST_ROWS - 1)
    assert lowest_threshold(y[few], routes[few], 0.1) == np.inf


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("skroute ")
