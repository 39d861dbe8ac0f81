"""The chart through real helm 3 and helm 4: lint, render, refuse. Golden files show what a change of the chart changes.

PJ_UPDATE_GOLDEN=1 writes the golden files anew: read the difference before you commit it."""
import difflib
import os
import unittest

import support
from support import CHART, HERE, KUBE, need, objects, run, template, yaml

VALUES = sorted((HERE / "values").glob("*.yaml"))
REFUSED = sorted((HERE / "refused").glob("*.yaml"))
GOLDEN = ["actions-only", "everything", "existing-secrets", "modes", "trial"]


def canonical(text):
    """Objects sorted by kind and name; generated secrets are new each time, and a checksum hides what it sums."""
    out = []
    for o in sorted(objects(text), key=lambda o: (o["kind"], o["metadata"]["name"])):
        if o["kind"] == "Secret" and o["metadata"]["name"].endswith("-generated"):
            o["data"] = {key: "generated" for key in o["data"]}
        annotations = o.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {}) or {}
        for key in annotations:
            if key.startswith("checksum/"):
                annotations[key] = "sum"
        if o["kind"] in ("PrometheusRule", "ConfigMap") and len(str(o)) > 2000:
            o.pop("spec", None), o.pop("data", None)
        out.append(yaml.safe_dump(o, sort_keys=True, width=120))
    return "---\n".join(out)


class Render(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.helms = need("helm3", "helm4")

    def test_ten_value_sets_or_more(self):
        self.assertGreaterEqual(len(VALUES), 10)

    def test_lints_and_renders_alike_with_both_helms(self):
        for i, values in enumerate(VALUES):
            with self.subTest(values.name):
                lint = run(self.helms[i % 2], "lint", CHART, "--strict", "--kube-version", KUBE, "-f", values)
                self.assertEqual(lint.returncode, 0, lint.stdout + lint.stderr)
                texts = []
                for helm in self.helms:
                    result = template(helm, values)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    texts.append(canonical(result.stdout))
                self.assertEqual(texts[0], texts[1])

    def test_golden(self):
        for name in GOLDEN:
            with self.subTest(name):
                got = canonical(template(self.helms[1], HERE / f"values/{name}.yaml").stdout)
                path = HERE / f"golden/{name}.yaml"
                if os.environ.get("PJ_UPDATE_GOLDEN"):
                    path.write_text(got)
                want = path.read_text()
                diff = "".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True), "golden", "rendered"))
                self.assertEqual(got, want, f"\n{diff}\nPJ_UPDATE_GOLDEN=1 writes it anew")

    def test_notes_name_what_is_insecure(self):
        result = run(self.helms[1], "install", "demo", CHART, "--dry-run=client", "-f", HERE / "values/trial.yaml")
        self.assertEqual(result.returncode, 0, result.stderr)
        for line in ("WARNING: redis.mode is trial", "WARNING: networkPolicy.enabled is false", "without TLS", "sandbox mode userns"):
            self.assertIn(line, result.stdout)

    def test_refuses_with_the_name_of_the_value(self):
        for i, values in enumerate(REFUSED):  # one helm each, in turn: a start of helm takes a third of a second
            lines = values.read_text().splitlines()
            expects = lines[0].removeprefix("# expects: ")
            kube = next((line.removeprefix("# kube: ") for line in lines if line.startswith("# kube: ")), KUBE)
            with self.subTest(values.name):
                result = run(self.helms[i % 2], "template", "demo", CHART, "--kube-version", kube, "-f", values)
                self.assertNotEqual(result.returncode, 0, "was rendered")
                self.assertIn(expects, result.stderr)


class Pods(unittest.TestCase):
    """What must hold of every pod, whatever the values."""

    def pods(self):
        (helm,) = need("helm4")
        for values in VALUES:
            for o in objects(template(helm, values).stdout):
                if o["kind"] == "Pod":
                    yield values.name, o, o["spec"]
                elif o["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
                    yield values.name, o, o["spec"]["template"]["spec"]
                elif o["kind"] == "ScaledJob":
                    yield values.name, o, o["spec"]["jobTargetRef"]["template"]["spec"]

    def test_no_pod_gets_a_token_of_the_cluster(self):
        for name, o, spec in self.pods():
            with self.subTest(name, object=o["metadata"]["name"]):
                self.assertIs(spec["automountServiceAccountToken"], False)

    def test_no_secret_stands_in_an_environment(self):
        for name, o, spec in self.pods():
            for container in spec["containers"]:
                for e in container.get("env", []):
                    with self.subTest(name, object=o["metadata"]["name"], env=e["name"]):
                        self.assertNotIn("secretKeyRef", e.get("valueFrom", {}))
                        self.assertNotRegex(e["name"], "(_TOKEN|_SECRET|PASSWORD|_KEY)$")

    def test_only_runners_that_make_boxes_leave_the_restricted_pod_security_level(self):
        for name, o, spec in self.pods():
            component = o["metadata"]["labels"]["app.kubernetes.io/component"]
            if component == "seccomp-installer" or (component == "runner" and name != "actions-only.yaml"):
                continue
            with self.subTest(name, object=o["metadata"]["name"]):
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                for container in spec["containers"]:
                    own = container.get("securityContext", {}).get("seccompProfile", spec["securityContext"].get("seccompProfile"))
                    self.assertEqual(own["type"], "RuntimeDefault")
                self.assertNotIn("hostPath", str(spec.get("volumes")))
                for container in spec["containers"]:
                    if container["name"] == "side":
                        continue
                    self.assertIs(container["securityContext"]["allowPrivilegeEscalation"], False)
                    self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
                    self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)

    def test_a_runner_has_longer_to_stop_than_a_task_takes(self):
        units = {"s": 1, "m": 60, "h": 3600}
        for name, o, spec in self.pods():
            for container in spec["containers"]:
                env = {e["name"]: e.get("value") for e in container.get("env", [])}
                if "PJ_TASK_TIMEOUT" in env:
                    text = env["PJ_TASK_TIMEOUT"]
                    with self.subTest(name, object=o["metadata"]["name"]):
                        self.assertGreaterEqual(spec["terminationGracePeriodSeconds"], int(text[:-1]) * units[text[-1]] + 60)

    def test_every_container_of_ours_has_its_probes(self):
        for name, o, spec in self.pods():
            for container in spec["containers"]:
                if container["name"] not in ("api", "runner", "redis"):
                    continue
                with self.subTest(name, object=o["metadata"]["name"], container=container["name"]):
                    self.assertIn("startupProbe", container)
                    self.assertIn("livenessProbe", container)
                    self.assertEqual("readinessProbe" in container, o["kind"] != "ScaledJob")

    def test_a_pod_for_each_task_takes_one_and_is_never_killed_by_a_roll_out(self):
        for name, o, spec in self.pods():
            if o["kind"] != "ScaledJob":
                continue
            env = {e["name"]: e.get("value") for e in spec["containers"][0]["env"]}
            self.assertEqual((env["PJ_RUNNER_TASKS"], env["PJ_RUNNER_SLOTS"]), ("1", "1"))
            self.assertTrue(env["PJ_RUNNER_IDLE"])
            self.assertEqual(o["spec"]["rollout"], {"strategy": "gradual"})
            self.assertEqual(spec["restartPolicy"], "Never")

    def test_large_numbers_stay_whole(self):
        (helm,) = need("helm4")
        text = template(helm, HERE / "values/everything.yaml").stdout
        self.assertNotIn("e+06", text)
        self.assertIn('"1000000"', text)

    def test_files_for_redis_under_tls_are_mounted_where_the_settings_point(self):
        want = {"redis-tls.yaml": {"PJ_REDIS_CA_FILE": ("secret", "redis-tls", "ca.crt")},
                "everything.yaml": {"PJ_REDIS_CA_FILE": ("configMap", "redis-ca", "root.pem"),
                                    "PJ_REDIS_CERT_FILE": ("secret", "redis-client", "tls.crt"),
                                    "PJ_REDIS_KEY_FILE": ("secret", "redis-client", "tls.key")}}
        seen = set()
        for name, o, spec in self.pods():
            for container in spec["containers"]:
                env = {e["name"]: e.get("value") for e in container.get("env", [])}
                got = {}
                for setting in (e for e in env if e.startswith("PJ_REDIS_") and e.split("_")[2] in ("CA", "CERT", "KEY")):
                    folder, file = env[setting].rsplit("/", 1)
                    mount = next(m for m in container["volumeMounts"] if m["mountPath"] == folder)
                    volume = next(v for v in spec["volumes"] if v["name"] == mount["name"])
                    got[setting] = next((kind, source[kind]["name"], item["key"]) for source in volume["projected"]["sources"]
                                        for kind in source for item in source[kind].get("items", []) if item["path"] == file)
                if container["name"] in ("api", "runner"):
                    seen.add((name, container["name"]))
                    with self.subTest(name, object=o["metadata"]["name"]):
                        self.assertEqual(got, want.get(name, {}))
                        self.assertEqual(env["PJ_REDIS_URL"].startswith("rediss"), name in want)
        self.assertTrue({(name, program) for name in want for program in ("api", "runner")} <= seen)

    def test_an_unset_runtime_class_is_left_out(self):
        for name, o, spec in self.pods():
            with self.subTest(name, object=o["metadata"]["name"]):
                self.assertNotEqual(spec.get("runtimeClassName", "unset"), "")


if __name__ == "__main__":
    support.main()
