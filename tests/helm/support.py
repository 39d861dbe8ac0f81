"""What the tests of the chart share: where things are, and how to call helm.

PJ_TEST_SRC is the repository, PJ_HELM_TOOLS the folder that fetch_tools.sh filled. What is missing is skipped aloud (exit 77)."""
import functools
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(os.environ.get("PJ_TEST_SRC", pathlib.Path(__file__).resolve().parents[2]))
HERE = ROOT / "tests/helm"
CHART = ROOT / "helm"
TOOLS = pathlib.Path(os.environ.get("PJ_HELM_TOOLS", "/nonexistent"))
SKIP = 77
TABLES_ARE_TRUTH = "run tests/helm/names.py --update, then document the new name"
KUBE = "1.35.0"

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not installed")
    sys.exit(SKIP)


def need(*names):
    """Paths of tools; the test that asks is skipped when one is not there."""
    paths = [TOOLS / name for name in names]
    for path in paths:
        if not path.exists():
            raise unittest.SkipTest(f"{path.name} is not in PJ_HELM_TOOLS ({TOOLS})")
    return paths


def run(*argv, **kwargs):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, **kwargs)


@functools.lru_cache(maxsize=None)
def template(helm, values, *more):
    return run(helm, "template", "demo", CHART, "--namespace", "pj", "--kube-version", KUBE, "-f", values, *more)


def objects(text):
    return [o for o in yaml.safe_load_all(text) if o]


def settings_table(path):
    """Rows of a settings table in C: {name: type}, read as the compiler's input is written: {"NAME", PJ_SET_TYPE, …."""
    rows = re.findall(r'^\s*\{"([A-Z][A-Z0-9_]+)",\s*PJ_SET_([A-Z]+),', (ROOT / path).read_text(), re.M)
    assert len(rows) > 10, f"{path}: no settings table found"
    return dict(rows)


def main():
    """1 when a test failed, 77 when all were skipped; each skipped one is said in the form that ./dev counts."""
    result = unittest.main(verbosity=2, exit=False).result
    sys.stderr.flush()
    for test, reason in result.skipped:
        print(f"[SKIP] {test.id().removeprefix('__main__.')}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIP if result.testsRun and len(result.skipped) == result.testsRun else 0)
