"""Each environment name that the chart sets is a setting of that program, and each setting can be set through the chart."""
import unittest

import names
import support
from support import HERE, TABLES_ARE_TRUTH, need, objects, template


class Names(unittest.TestCase):
    maxDiff = None

    def test_lists_equal_settings_tables(self):
        self.assertEqual(names.found(), names.wanted(), TABLES_ARE_TRUTH)

    def test_managed_names_are_settings(self):
        for program, managed in names.MANAGED.items():
            self.assertLessEqual(managed, set(support.settings_table(names.TABLES[program])))

    def test_rendered_environment_is_known_and_managed_names_are_rendered(self):
        (helm,) = need("helm4")
        containers = []
        for values in sorted((HERE / "values").glob("*.yaml")):
            result = template(helm, values)
            self.assertEqual(result.returncode, 0, result.stderr)
            for o in objects(result.stdout):
                pod = {"Deployment": o.get("spec"), "ScaledJob": o.get("spec", {}).get("jobTargetRef")}.get(o["kind"])
                containers += pod["template"]["spec"]["containers"] if pod else []
        for program, path in names.TABLES.items():
            table = support.settings_table(path)
            known = {name + "_FILE" if kind == "SECRET" else name for name, kind in table.items()}
            seen = set()
            for container in containers:
                if container["name"] == program:
                    seen |= {e["name"] for e in container["env"]}
            self.assertLessEqual(seen - {"EXTRA"}, known, f"{program} is given what it does not know")
            self.assertLessEqual(names.MANAGED[program], seen, f"{program}: rendered with no values")


if __name__ == "__main__":
    support.main()
