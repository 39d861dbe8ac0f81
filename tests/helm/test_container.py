"""The box starts in a real container that has exactly what a sandbox mode of the chart, or compose.yaml, gives the runner.

crun runs the built pj-sandbox under an OCI configuration made from the rendered pod: user namespace, uid, capabilities, seccomp
profile, masked /proc. What this leaves out is named: the kubelet, AppArmor, SELinux and control groups. Needs root, crun and helm."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import support
from support import CHART, HERE, ROOT, SKIP, need, objects, template, yaml

PROGRAMS = pathlib.Path(os.environ.get("PJ_TEST_BIN", "/nonexistent"))
if os.geteuid() != 0 or not shutil.which("crun"):
    print("skipped: needs root and crun")
    sys.exit(SKIP)

# What containerd and Docker cover below /proc unless told otherwise. Source: containerd oci/spec.go, defaultMaskedPaths.
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
          "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
CAPABILITIES = ("bounding", "effective", "permitted", "inheritable")
# A private mount name space, its own view of the host as root, no version 2 control groups (crun refuses the mixed hierarchy).
START = """mount --make-rprivate /
for m in $(grep ' cgroup2 ' /proc/mounts | cut -d' ' -f2); do umount -l "$m"; done
mount --bind / rootfs
exec crun --root "$PWD/state" --cgroup-manager=disabled run "$1"
"""


def mount(kind, at, *options):
    return {"destination": at, "type": kind, "source": kind, "options": list(options)}


def configuration(command, uid, caps, user_namespace, seccomp, masked):
    linux = {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "network")]}
    if user_namespace:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    if seccomp:
        linux["seccomp"] = json.loads((CHART / "files/runner-seccomp.json").read_text())
    if masked:
        linux |= {"maskedPaths": MASKED, "readonlyPaths": READONLY}
    names = ["CAP_" + c for c in caps]
    return {
        "ociVersion": "1.0.2", "hostname": "pod", "root": {"path": "rootfs", "readonly": True}, "linux": linux,
        "process": {"terminal": False, "user": {"uid": uid, "gid": uid}, "args": command, "env": ["PATH=/usr/bin:/bin", "ASAN_OPTIONS=detect_leaks=0"], "cwd": "/",
                    "capabilities": {s: names for s in CAPABILITIES}, "noNewPrivileges": True},
        "mounts": [mount("proc", "/proc"), mount("tmpfs", "/dev", "nosuid", "mode=755"),
                   mount("devpts", "/dev/pts", "newinstance", "ptmxmode=0666", "mode=0620"),
                   mount("tmpfs", "/tmp", "mode=1777"), mount("tmpfs", "/run", "mode=1777"),
                   {"destination": "/mnt", "type": "bind", "source": str(PROGRAMS), "options": ["bind", "ro"]}],
    }


def start(config):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "rootfs").mkdir()
        path.chmod(0o755)
        (path / "config.json").write_text(json.dumps(config))
        return subprocess.run(["unshare", "--mount", "sh", "-c", START, "sh", f"pj-test-{os.getpid()}"], cwd=folder,
                              capture_output=True, text=True, timeout=60)


def runner_pods(values):
    (helm,) = need("helm4")
    for o in objects(template(helm, values).stdout):
        pod = {"Deployment": o.get("spec"), "ScaledJob": o.get("spec", {}).get("jobTargetRef")}.get(o["kind"])
        if pod and o["metadata"]["labels"]["app.kubernetes.io/component"] == "runner":
            yield o["metadata"]["labels"]["pithyjaunt/pool"], pod["template"]["spec"]


class Container(unittest.TestCase):
    def box(self, **kwargs):
        if not (PROGRAMS / "pj-sandbox").exists():
            self.skipTest(f"pj-sandbox is not built in {PROGRAMS}")
        return start(configuration(["/mnt/pj-sandbox", "--", "/bin/sh", "-c", "id -u; grep ^NoNewPrivs /proc/self/status"], **kwargs))

    def succeeds(self, result):
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("NoNewPrivs:\t1", result.stdout)

    def test_in_the_pod_of_each_mode_that_is_no_machine_of_its_own(self):
        for pool, spec in runner_pods(HERE / "values/modes.yaml"):
            context = spec["containers"][0]["securityContext"]
            if context.get("privileged"):
                continue
            with self.subTest(pool):
                self.succeeds(self.box(uid=spec["securityContext"]["runAsUser"], caps=context["capabilities"].get("add", []),
                                       user_namespace=not spec.get("hostUsers", True),
                                       seccomp=context["seccompProfile"]["type"] == "Localhost",
                                       masked=context.get("procMount") != "Unmasked"))

    def test_in_the_service_of_compose(self):
        service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["runner"]
        self.assertEqual(service["cap_drop"], ["ALL"])
        self.assertIn("seccomp:helm/files/runner-seccomp.json", service["security_opt"])
        self.succeeds(self.box(uid=1000, caps=[], user_namespace=False, seccomp=True,
                               masked="systempaths=unconfined" not in service["security_opt"]))

    def test_control_a_masked_proc_is_an_error_with_its_remedy(self):
        result = self.box(uid=1000, caps=[], user_namespace=True, seccomp=True, masked=True)
        self.assertEqual(result.returncode, 125, result.stdout + result.stderr)
        self.assertIn("procMount: Unmasked", result.stderr)

    def test_profile_allows_what_the_box_allows(self):
        profile = json.loads((CHART / "files/runner-seccomp.json").read_text())
        allowed = {n for row in profile["syscalls"] if row["action"] == "SCMP_ACT_ALLOW" for n in row["names"]}
        refused = {n for row in profile["syscalls"] if row["action"] != "SCMP_ACT_ALLOW" for n in row["names"]}
        inner = support.re.findall(r"^\s*ALLOW\(([a-z0-9_]+),", (ROOT / "sandbox/rules.c").read_text(), support.re.M)
        self.assertGreater(len(inner), 200)
        self.assertEqual(sorted(set(inner) - allowed), [], "add them to helm/files/runner-seccomp.json")
        self.assertFalse(allowed & refused)


if __name__ == "__main__":
    support.main()
