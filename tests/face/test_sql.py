"""The page of SQL: questions of one's own and saved ones, by the reader that `tollhouse sql` asks, on record, for who may ask them."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from gateway.trace.record import Asked
from gateway.web.queries import read_all


@pytest.fixture(scope="module")
def told(lived_in, tmp_path_factory):
    """A book of some exchanges, and a folder with a question of the installation's own."""
    for n in range(4):
        lived_in.exchange(n, agent="coder" if n % 2 else "bank", cost=f"0.0{n}")
    folder = tmp_path_factory.mktemp("queries")
    grouped = "SELECT agent, count(*) AS n FROM exchanges GROUP BY agent HAVING count(*) >= $least::INTEGER ORDER BY agent"
    (folder / "by_agent.sql").write_text(f"-- title: By agent\n-- param: least = 1\n{grouped}\n")
    lived_in.browse(lambda browser: browser.begin())
    for role, name in (("viewer-metadata", "mia"), ("viewer-content", "vera")):
        lived_in.join(role, name)
    lived_in.settings.__dict__["queries"] = str(folder)
    return lived_in


def asked(house, name="ada", form=".json", **params):
    return house.seen(f"/ui/sql{form}?{urlencode({key.replace('__', '.'): value for key, value in params.items()})}", name)


def test_a_question_is_answered_as_a_table_as_json_and_as_csv_and_is_on_record(told) -> None:
    sql = "SELECT agent, count(*) AS n, '=1+1' AS x FROM exchanges GROUP BY agent ORDER BY agent"
    before = len(told.book.written)
    found = asked(told, sql=sql).json()["answer"]
    assert (found["columns"], found["rows"]) == (["agent", "n", "x"], [["bank", 2, "=1+1"], ["coder", 2, "=1+1"]])
    (record,) = told.book.written[before:]
    assert isinstance(record, Asked)
    assert (record.question.sql, record.question.who, record.question.outcome, record.question.row_count) == (sql, "ada", "answered", 2)
    assert asked(told, form=".csv", sql=sql).text == "agent,n,x\nbank,2,'=1+1\ncoder,2,'=1+1\n"
    page = asked(told, form="", sql=sql).text
    assert ("<td>bank</td>" in page, "2 rows" in page) == (True, True)
    assert "SELECT agent" in asked(told, form="").text


def test_columns_of_one_name_are_all_in_the_csv(told) -> None:
    assert asked(told, form=".csv", sql="SELECT 1 AS a, 2 AS a").text == "a,a\n1,2\n"


@pytest.mark.parametrize(("sql", "line", "column", "said"), [
    ("SELECT agent,\n  nothing\nFROM exchanges", 2, 3, "nothing"),
    (f"SELECT 1,\n{' ' * 150}substr(1, 2, 3, 4) AS x, {', '.join('1' * 9 for _ in range(40))}", 2, 151, "No function matches"),
    ("SELECT *\r\nFROM nowhere", 2, 6, "there is no table 'nowhere'"),
    ("SELEC 1", 1, 1, "syntax error"),
    ("SELECT read_text('/etc/passwd')", 1, 8, "not available"),
])  # fmt: skip
def test_what_is_wrong_is_marked_where_it_stands(told, sql, line, column, said) -> None:
    problem = asked(told, sql=sql).json()["problem"]
    assert (problem["line"], problem["column"], said in problem["message"]) == (line, column, True)
    assert problem["caret"] == " " * (column - 1) + "^"
    page = asked(told, form="", sql=sql)
    assert (page.status_code, f"Line {line}, character {column}" in page.text) == (200, True)


@pytest.mark.parametrize("sql", ["COPY exchanges TO 'x'", "SELECT 1; SELECT 2", "ATTACH ':memory:' AS m", "FROM read_csv('/etc/passwd')"])
def test_only_what_the_reader_takes_is_answered_and_the_refusal_is_on_record(told, sql) -> None:
    before = len(told.book.written)
    answer = asked(told, sql=sql).json()
    assert (answer["answer"], answer["problem"] is None) == (None, False)
    assert told.book.written[before].question.outcome in ("sql_refused", "sql_error")
    assert asked(told, form=".csv", sql=sql).status_code == 400


def test_parameters_are_a_form_and_nothing_is_asked_before_they_are_given(told) -> None:
    sql = "SELECT $who AS who, '$not_this' AS text -- nor $that"
    before = len(told.book.written)
    page = asked(told, sql=sql).json()
    assert (page["params"], page["answer"], "$who" in page["problem"]["message"]) == ({"who": ""}, None, True)
    assert len(told.book.written) == before
    assert asked(told, sql=sql, p__who="<b>").json()["answer"]["rows"] == [["<b>", "$not_this"]]
    assert 'name="p.who"' in asked(told, form="", sql=sql).text


def test_a_saved_question_has_its_parameters_as_a_form(told) -> None:
    found = asked(told, saved="by_agent").json()
    assert (found["params"], found["answer"]["rows"]) == ({"least": "1"}, [["bank", 2], ["coder", 2]])
    assert asked(told, saved="by_agent", p__least="3").json()["answer"]["rows"] == []
    page = asked(told, form="", saved="by_agent").text
    assert ('name="p.least"' in page, "By agent" in page) == (True, True)
    assert asked(told, saved="none_of_that_name").status_code == 404


def test_shipped_questions_are_answered_on_the_page(told) -> None:
    for name in list(read_all())[::7]:  # each is asked of a reader in tests/processes
        found = asked(told, saved=name).json()
        assert found["problem"] is None, (name, found["problem"])


def test_a_chart_stands_in_the_address(told) -> None:
    sql = "SELECT agent, count(*) AS n FROM exchanges GROUP BY agent ORDER BY agent"
    page = asked(told, form="", sql=sql, chart="bar", x="agent", y="n").text
    assert ("<svg" in page, "n by agent" in page) == (True, True)
    assert "names no column" in asked(told, form="", sql=sql, chart="bar", x="agent", y="gone").text


def test_who_may_ask_what_is_as_everywhere(told) -> None:
    before = len(told.book.written)
    assert asked(told, "mia", sql="SELECT 1").status_code == 403
    assert asked(told, "mia", saved="latest_decisions").status_code == 403
    assert asked(told, "mia", saved="by_agent").status_code == 403
    assert len(told.book.written) == before
    assert asked(told, "mia", saved="cost_by_agent_and_day").json()["answer"]["columns"]
    page = asked(told, "mia", form="").text
    assert ("<textarea" in page, "input_preview" in page) == (False, False)
    assert asked(told, "vera", sql="SELECT 1 AS a").json()["answer"]["rows"] == [[1]]


def test_one_sees_what_one_asked_and_nobody_elses(told) -> None:
    asked(told, "vera", sql="SELECT 42 AS mine")
    assert "SELECT 42 AS mine" in [each["sql"] for each in asked(told, "vera").json()["history"]]
    assert "SELECT 42 AS mine" not in [each["sql"] for each in asked(told).json()["history"]]


def test_no_answer_leaves_that_cannot_be_put_on_record(told) -> None:
    told.book.full = True
    try:
        assert asked(told, sql="SELECT 1").status_code == 503
    finally:
        told.book.full = False


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "10001"}, {"limit": "x"}])
def test_a_limit_out_of_bounds_is_refused(told, params) -> None:
    assert asked(told, sql="SELECT 1", **params).status_code == 400
