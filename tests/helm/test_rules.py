"""Alert rules and dashboard: real promtool, and every metric named is one that a program reports."""
import json
import pathlib
import re
import tempfile
import unittest

import support
from support import CHART, HERE, ROOT, need, run

ALERTS = CHART / "files/alerts.yaml"
DASHBOARD = CHART / "files/dashboard.json"
NAME = re.compile(r"\bpj_[a-z0-9_]+\b")


def reported():
    """Names in the sources that write metrics. A counter is written without _total where a helper adds it."""
    names = set()
    for path in (*ROOT.glob("api/metrics*.c"), *ROOT.glob("lib/obs/*.c")):
        names |= set(re.findall(r"pj_[a-z0-9_]+", " ".join(re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text()))))
    return names | {name + "_total" for name in names}


def expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*")


class Rules(unittest.TestCase):
    def test_promtool_accepts_the_rules(self):
        (promtool,) = need("promtool")
        result = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", ALERTS)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_each_alert_fires_when_it_should(self):
        (promtool,) = need("promtool")
        with tempfile.TemporaryDirectory() as folder:
            for path in (ALERTS, HERE / "alerts_test.yaml"):
                (pathlib.Path(folder) / path.name).write_text(path.read_text())
            result = run(promtool, "test", "rules", "alerts_test.yaml", cwd=folder)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_each_alert_has_a_test(self):
        tested = (HERE / "alerts_test.yaml").read_text()
        for alert in re.findall(r"alert: (\w+)", ALERTS.read_text()):
            self.assertIn(f'alertname="{alert}",alertstate="firing"', tested)

    def test_promtool_accepts_the_queries_of_the_dashboard(self):
        (promtool,) = need("promtool")
        rules = [{"record": f"check:q{i}", "expr": expr} for i, (_, expr) in enumerate(expressions(json.loads(DASHBOARD.read_text())))]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            result = run(promtool, "check", "rules", file.name)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_named_metrics_exist(self):
        known = reported()
        self.assertGreater(len(known), 10)
        for path in (ALERTS, DASHBOARD):
            text = path.read_text()
            queries = " ".join(re.findall(r"expr: (?:\|\n)?((?:.*\n)+?)\s+(?:for|labels):", text)) if path is ALERTS else \
                " ".join(expr for _, expr in expressions(json.loads(text)))
            self.assertLessEqual(set(NAME.findall(queries)), known, path.name)

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    support.main()
