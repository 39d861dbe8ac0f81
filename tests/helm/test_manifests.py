"""Rendered objects against the types of Kubernetes and of the operators they are for, and against a wrong object as control."""
import json
import os
import shutil
import sys
import unittest

import support
from support import HERE, SKIP, TOOLS, need, objects, run, template

if not shutil.which("node"):
    print("skipped: node is not installed")
    sys.exit(SKIP)


def check(rendered):
    return run("node", HERE / "manifests.mjs", input=json.dumps(rendered), env={**os.environ, "PJ_HELM_TOOLS": str(TOOLS)})


class Manifests(unittest.TestCase):
    def setUp(self):
        need("node_modules/kubernetes-models")

    def test_every_object_is_of_its_type(self):
        (helm,) = need("helm4")
        rendered = []
        for values in sorted((HERE / "values").glob("*.yaml")):
            rendered += objects(template(helm, values).stdout)
        result = check(rendered)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_control_a_wrong_object_is_found(self):
        wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": "eighty"}]}}
        result = check([wrong])
        self.assertNotEqual(result.returncode, 0, result.stdout)


if __name__ == "__main__":
    support.main()
