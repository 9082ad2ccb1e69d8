"""A log of a training is drawn as it went, whatever else is in it, and costs no more than a page."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.inspect.findings import FormatError
from tenuto.server.git.objects import BlobFacts
from tenuto.server.pages.content import File
from tenuto.server.pages.plots import HEIGHT, WIDTH, Point, curves
from tenuto.server.pages.records import CELLS, json_value, records
from tenuto.server.pages.training import Log, grouped, read_log
from tests.pages.world import trainer_state
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}
numbers = st.floats(-1e12, 1e12)


def read(name: str, body: bytes, size: int = 0) -> Log:
    return read_log(File(name, BlobFacts("0" * 40, size or len(body), None)), body)


def test_a_training_is_read_from_each_kind_of_log() -> None:
    state = read("trainer_state.json", trainer_state()).series
    assert set(state) == {"loss", "learning_rate", "eval_loss"}
    assert state["loss"][0] == (0.0, 2.5)
    assert [name for name, _ in grouped(state)] == ["loss", "learning_rate"]
    rows = [{"step": step, "loss": 1 / (step + 1)} for step in range(3)]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    assert read("metrics.jsonl", lines).series["loss"][2] == (2.0, pytest.approx(1 / 3))
    assert read("metrics.csv", b"epoch,acc\n0,0.1\n1,0.2\n") == Log({"acc": [(0.0, 0.1), (1.0, 0.2)]}, "")
    assert read("metrics.csv", b"\xef\xbb\xbfstep,a\r\n5,1\r\n6,2").series == {"a": [(5.0, 1.0), (6.0, 2.0)]}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda of: st.lists(of) | st.dictionaries(st.text(max_size=5), of),
    )
)
def test_whatever_is_in_a_log_only_finite_numbers_are_drawn(value: object) -> None:
    history = [value, {"step": 1, "x": value, "loss": 1}, {"step": 2, "loss": 2, "x": 3}]
    for _, group in grouped(read("trainer_state.json", json.dumps({"log_history": history}).encode()).series):
        assert all(math.isfinite(number) for points in group.values() for point in points for number in point)
        assert curves(group).lines


def test_rows_hold_what_they_bring_however_wide_the_head_of_a_table_is() -> None:
    table = b",".join(b"%x" % column for column in range(6000)) + b"\n" + b"1\n" * 6000
    assert {len(row) for row in records("csv", table)} == {1}
    assert max(len(row) for row in records("csv", b",".join([b"1"] * 5000) + b"\n" + b",".join([b"2"] * 5000))) <= 200
    assert read("metrics.csv", table).series["0"][-1] == (5999.0, 1.0)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("metrics.csv", b"a\n1\n2\n" + b"," * 100_000, "a row of it"),
        ("metrics.csv", b'a\n1\n2\n"' + b"3\n" * 100_000, "a row of it"),
        ("metrics.csv", b"a\n" + b"1\n" * CELLS, "only its beginning"),
        ("metrics.jsonl", b'{"a":1}\n{"a":2}\nno json\n{"a":3}', "no JSON"),
        ("metrics.jsonl", b'{"a":1}\n{"a":2}\n' + b"[" * 50_000, "nested"),
        ("metrics.jsonl", b'{"a":1}\n' * 2 + b'"' + b"x" * 100_000, "line 3 has more than"),
        ("metrics.jsonl", b'{"a":1}\n' * CELLS, "only its beginning"),
    ],
)
def test_what_comes_before_a_bound_is_drawn_and_the_rest_is_told(name: str, body: bytes, words: str) -> None:
    log = read(name, body)
    assert len(log.series["a"]) >= 2
    assert words in log.fault


@pytest.mark.parametrize(
    ("body", "words"),
    [(b'{"log_history":[' + b"{}," * CELLS + b"1]}", "more values"), (b"[" * 90_000, "nested"), (b"{", "no JSON")],
)
def test_a_state_that_cannot_be_read_is_told(body: bytes, words: str) -> None:
    log = read("trainer_state.json", body)
    assert log.series == {}
    assert words in log.fault
    with pytest.raises(FormatError):
        json_value(body)


def test_of_a_log_that_is_longer_than_is_read_the_beginning_is_drawn() -> None:
    log = read("metrics.csv", b"a\n1\n2\n34", size=10**9)
    assert log.series == {"a": [(0.0, 1.0), (1.0, 2.0)]}
    assert "first 8 bytes" in log.fault
    assert "4,194,304" in read("trainer_state.json", b"{", size=10**9).fault


def test_a_log_with_names_that_are_no_text_is_drawn(owner: Owner) -> None:
    state = b'{"log_history":[{"\\ud800x":1,"\\u0000":2},{"\\ud800x":2,"\\u0000":3}]}'
    owner.talk.commit(owner.repo, small("trainer_state.json", state)).raise_for_status()
    answer = owner.talk.get(f"/{owner.repo}/insights", headers=HTML)
    assert answer.status_code == 200
    assert "?x" in answer.text


@given(
    st.dictionaries(
        st.text(max_size=5), st.lists(st.tuples(numbers, numbers), min_size=1, max_size=300), min_size=1, max_size=4
    )
)
def test_curves_stay_in_their_frame(series: dict[str, list[Point]]) -> None:
    for line in curves(series).lines:
        for point in line.points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_a_long_curve_keeps_its_heights_and_depths() -> None:
    points = [(float(step), 1.0) for step in range(50_000)]
    points[12_345], points[40_001] = (12_345.0, 9.0), (40_001.0, -9.0)
    (line,) = curves({"x": points}).lines
    heights = [float(point.split(",")[1]) for point in line.points.split()]
    assert len(heights) < 300
    assert (heights.count(min(heights)), heights.count(max(heights))) == (1, 1)
    assert (line.least, line.greatest) == ("-9", "9")
