"""The reference of the settings says what the programs say: docs/settings.md and pithyjaunt.conf(5) against the tables, the tables against
--help-all of the built programs, the manuals against both."""
import os
import pathlib
import re
import shutil
import sys
import unittest

import support
from support import ROOT, run

sys.path.insert(0, str(ROOT / "packaging"))
import settings  # noqa: E402

BUILT = pathlib.Path(os.environ.get("PJ_TEST_BIN", "/nonexistent"))
MANUALS = {"pj-api": "api/pj-api.8.scd", "pj-runner": "runner/pj-runner.8.scd", "pj": "api/cli/pj.1.scd"}
LINES, COLUMNS = 40, 112


def printed(program, option):
    if not (BUILT / program).exists():
        raise unittest.SkipTest(f"{program} is not built in {BUILT}")
    result = run(BUILT / program, option)
    assert result.returncode == 0, result.stderr
    return result.stdout


class Settings(unittest.TestCase):
    maxDiff = None

    def test_the_pages_are_those_of_the_tables(self):
        for path, want in ((settings.PAGE, settings.page()), (settings.MANUAL, settings.manual())):
            self.assertEqual(path.read_text(), want, f"{path.name}: run packaging/settings.py --write")

    def test_the_tables_are_those_of_the_programs(self):
        for program, path, name in settings.PROGRAMS:
            with self.subTest(program):
                text = printed(program, "--help" if program == "pj" else "--help-all")
                rows = re.findall(r"^  --\S+(?: FILE)?  \(([A-Z_]+)(?: or its _FILE)?\)\n      (.*)$", text, re.M)
                want = [(n, h + (f" [{d}]" if d is not None else "")) for n, _, d, _, h in settings.table(path, name)]
                self.assertEqual(rows, want)

    def test_what_a_manual_says_of_a_setting_is_so(self):
        for program, path, name in settings.PROGRAMS:
            defaults = {row[0]: row[2] for row in settings.table(path, name)}
            text = (ROOT / MANUALS[program]).read_text()
            section = re.search(r"^# (?:SETTINGS|ENVIRONMENT)\n(.*?)^# ", text, re.M | re.S)
            for line in section.group(1).splitlines() if section else ():
                for named, default in re.findall(r"(?:^|, )\*([A-Z][A-Z_]+)\*(?: \(([^)]+)\))?", line) if line[:1] == "*" else ():
                    named = named if named in defaults else named.removesuffix("_FILE")
                    with self.subTest(program, setting=named):
                        self.assertTrue(named in defaults or named == "PJ_CONFIG", named)
                        if default:
                            self.assertEqual(default, defaults[named])

    def test_help_fits_a_screen(self):
        for program in ("pj", "pj-api", "pj-remote", "pj-runner", "pj-sandbox", "pj-agent"):
            with self.subTest(program):
                lines = printed(program, "--help").splitlines()
                self.assertLessEqual(len(lines), LINES)
                self.assertLessEqual(max(map(len, lines)), COLUMNS)

    def test_the_manual_is_a_manual(self):
        if not shutil.which("scdoc"):
            self.skipTest("scdoc is not installed")
        for path in (*MANUALS.values(), "packaging/pithyjaunt.conf.5.scd", "sandbox/pj-sandbox.1.scd", "runner/agent/pj-agent.1.scd",
                     "api/remote/pj-remote.8.scd", "docs/examples/pj-rootfs.1.scd"):
            with self.subTest(path):
                result = run("scdoc", input=(ROOT / path).read_text())
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(".TH", result.stdout)


if __name__ == "__main__":
    support.main()
