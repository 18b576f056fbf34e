"""Rows come in and go out without pandas and pyarrow, whatever else is installed."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{numpy}
from gateway.stores.unwanted import refuse_unwanted
refuse_unwanted(); refuse_unwanted()
import duckdb
from gateway.stores.arrow import batches
from gateway.stores.inserting import insert
con = duckdb.connect()
con.execute("CREATE TABLE t (a BIGINT)")
insert(con, "t", ("a",), {{"a": "BIGINT"}}, [(1,), (None,)])
assert con.execute("SELECT unnest(?)", [[1, 2]]).fetchall() == [(1,), (2,)]
assert [len(batch) for batch in batches(con.execute("FROM t, t AS u"), 3)] == [3, 1]
for name in ("pandas", "pyarrow"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        print("no", name, sum(type(finder).__name__ == "_Unwanted" for finder in sys.meta_path))
print({{"pandas", "pyarrow"}} & sys.modules.keys())
"""


@pytest.mark.parametrize("numpy", ["", "import importlib.util\nif importlib.util.find_spec('numpy'): import numpy"])
def test_rows_and_parameters_are_handed_over_where_both_are_refused(numpy):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(numpy=numpy)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("no pandas 1\nno pyarrow 1\nset()\n", "")
