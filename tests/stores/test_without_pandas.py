"""What makes tables works without pandas, whatever else is installed."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, types
{numpy}
from gateway.stores.without_pandas import refuse_pandas
refuse_pandas(); refuse_pandas()
import duckdb, pyarrow as pa
assert pa.array([1, 2]).to_pylist() == [1, 2]
assert duckdb.connect().execute("SELECT unnest(?)", [[1, 2]]).fetchall() == [(1,), (2,)]
try:
    import pandas
except ModuleNotFoundError:
    print("none", sum(type(finder).__name__ == "_NoPandas" for finder in sys.meta_path))
"""


@pytest.mark.parametrize("numpy", ["", "import importlib.util\nif importlib.util.find_spec('numpy'): import numpy"])
def test_arrays_and_parameters_are_made_where_pandas_is_refused(numpy):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(numpy=numpy)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("none 1\n", "")
