"""The pod of `helm test`: its very command and environment as rendered, against a real API, Redis and runner of `pj up`. What stands in for the
cluster: the service's name is the loopback address, and the Secret's volume a folder."""
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

import support
from support import HERE, ROOT, objects, run

PROGRAMS = pathlib.Path(os.environ.get("PJ_TEST_BIN", "/nonexistent"))
SAMPLE = ROOT / "api/cli/sample/task.md"
MOUNTED = "/etc/pithyjaunt/secrets"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pod_of(*settings):
    (helm,) = support.need("helm4")
    flags = [word for setting in settings for word in ("--set", setting)]
    result = run(helm, "template", "demo", support.CHART, "-n", "pj", "--kube-version", support.KUBE, "-f", HERE / "values/trial.yaml", *flags)
    assert result.returncode == 0, result.stderr
    (pod,) = (o for o in objects(result.stdout) if o["metadata"].get("annotations", {}).get("helm.sh/hook") == "test")
    return pod


class Pod(unittest.TestCase):
    def setUp(self):
        if not (PROGRAMS / "pj").exists():
            self.skipTest("the programs are not built")

    def start(self, container, folder, url, **more):
        """The container's command, as the kubelet would start it."""
        env = {**os.environ, **{e["name"]: e["value"] for e in container["env"]}}
        self.assertIn("demo-pithy-jaunt-api", env["PJ_URL"])
        env.update(PJ_URL=url, PJ_TOKEN_FILE=env["PJ_TOKEN_FILE"].replace(MOUNTED, str(folder)), HOME=str(folder),
                   PATH=f"{PROGRAMS}:{os.environ['PATH']}", **more)
        return run(*container["command"], env=env, cwd=folder, timeout=150)

    def test_it_waits_for_a_runner_and_runs_a_task_to_its_end(self):
        title, _, description = SAMPLE.read_text().partition("\n")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            port = free_port()
            unset = {k: v for k, v in os.environ.items() if k not in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MODEL_PROVIDER")}
            up = subprocess.Popen([PROGRAMS / "pj", "up", "--port", str(port), "--data", folder / "data"], env=unset, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                seen = []
                for line in up.stdout:
                    seen.append(line)
                    if line.startswith("Ctrl-C"):
                        break
                self.assertTrue(seen and seen[-1].startswith("Ctrl-C"), "".join(seen))
                (folder / "PJ_BOOTSTRAP_TOKEN").write_text((folder / "data/token").read_text())
                url, remote = f"http://127.0.0.1:{port}", folder / "data/sample/tally.git"

                (container,) = pod_of(f"tests.repository={remote}", f"tests.title={title}")["spec"]["containers"]
                result = self.start(container, folder, url, TEST_DESCRIPTION=description.strip())
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                self.assertIn("status\tcompleted", result.stdout)
                branches = run("git", "-c", "safe.directory=*", "--git-dir", remote, "for-each-ref", "--format=%(refname)", "refs/heads/pj")
                self.assertEqual(len(branches.stdout.split()), 2, "the task of pj up, and that of the pod")

                (container,) = pod_of()["spec"]["containers"]
                result = self.start(container, folder, url)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn("no task was run", result.stdout)

                (container,) = pod_of("tests.repository=https://elsewhere.example/o/r")["spec"]["containers"]
                result = self.start(container, folder, url)
                self.assertNotEqual(result.returncode, 0, "a repository that cannot be had fails the test")
                (folder / "PJ_BOOTSTRAP_TOKEN").write_text("pj_pat_wrong")
                (container,) = pod_of("runner.pools.default.replicas=0")["spec"]["containers"]
                self.assertNotIn("no runner is ready", container["command"][2])
                result = self.start(container, folder, url)
                self.assertEqual(result.returncode, 4, result.stderr)
            finally:
                up.send_signal(signal.SIGINT)
                up.communicate(timeout=60)


if __name__ == "__main__":
    support.main()
