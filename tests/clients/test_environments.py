"""Where the environments of clients are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_a_run_without_pytest_s_cache_makes_environments_of_its_own(tmp_path):
    """As far as it gets without a package index: the SDKs' tests are left out, and none of them breaks."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "run")]
    variables = {**os.environ, "TOLLHOUSE_OFFLINE": "1"}
    done = subprocess.run(
        [*command, str(HERE / "test_current_sdks.py")], capture_output=True, text=True, env=variables, cwd=HERE.parents[1], timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" in done.stdout.splitlines()[-1]
    assert (tmp_path / "run" / "client-sdks").is_dir()
