"""What operators copy: compose.yaml, .env.example, Dockerfile, units, proxy samples, documents. Each by the real program that reads it, where
this host has it; names of settings against the programs' tables."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import names
import reference
import support
from support import ROOT, TOOLS, run, settings_table, yaml

PROGRAMS = pathlib.Path(os.environ.get("PJ_TEST_BIN", "/nonexistent"))
TABLES = {program: settings_table(path) for program, path in names.TABLES.items()}
ALL = set().union(*TABLES.values())
# Of the command line, the build, an agent's environment, and of compose.yaml and the tests themselves.
OTHERS = {"PJ_CONFIG", "PJ_TOKEN", "PJ_TOKEN_FILE", "PJ_UI", "PJ_URL", "PJ_ACTIONS_IMAGE", "PJ_PUBLISH_TOKEN", "PJ_READ_TOKEN",
          "PJ_TASK_DESCRIPTION", "PJ_TASK_TITLE", "PJ_WEBHOOK_SECRET"}
DOCUMENTS = [ROOT / "README.md", ROOT / "helm/README.md", ROOT / "helm/values.md", *sorted((ROOT / "docs").glob("*.md"))]


def compose_program():
    if run("docker", "compose", "version").returncode == 0 if shutil.which("docker") else False:
        return ["docker", "compose"]
    return [str(TOOLS / "docker-compose")] if (TOOLS / "docker-compose").exists() else None


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

    def test_environment_names_are_settings(self):
        for program in names.TABLES:
            given = set(self.services[program]["environment"])
            self.assertLessEqual(given, set(TABLES[program]), f"{program} is given what it does not know")

    def test_example_has_the_variables_that_compose_reads_and_no_others(self):
        text = (ROOT / "compose.yaml").read_text()
        read = set(re.findall(r"\$\{([A-Z_]+)", text))
        example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
        self.assertEqual(example, read - {"PJ_RUNNER_NAME"})

    def test_time_to_stop_is_longer_than_a_task(self):
        self.assertEqual(self.services["runner"]["stop_grace_period"], "11m")
        self.assertEqual(self.services["runner"]["environment"]["PJ_TASK_TIMEOUT"], "${PJ_TASK_TIMEOUT:-10m}")

    def test_redis_keeps_everything(self):
        command = " ".join(map(str, self.services["redis"]["command"]))
        self.assertIn("--appendonly yes", command)
        self.assertIn("--maxmemory-policy noeviction", command)

    def test_docker_compose_accepts_it_and_asks_for_the_key(self):
        program = compose_program()
        if not program:
            self.skipTest("docker compose (version 2) is not installed")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            shutil.copy(ROOT / "compose.yaml", path)
            (path / "helm/files").mkdir(parents=True)
            shutil.copy(ROOT / "helm/files/runner-seccomp.json", path / "helm/files")
            shutil.copy(ROOT / ".env.example", path / ".env")
            result = run(*program, "config", "-q", cwd=path)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("PJ_SECRET_KEY", result.stderr)
            text = (path / ".env").read_text().replace("PJ_SECRET_KEY=", "PJ_SECRET_KEY=c2VjcmV0", 1)
            (path / ".env").write_text(text)
            result = run(*program, "config", cwd=path)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("systempaths=unconfined", result.stdout)


class Units(unittest.TestCase):
    def test_systemd_accepts_them(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        if not (PROGRAMS / "pj-api").exists():
            self.skipTest("the programs are not built")
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for unit in ("api/pj-api.service", "runner/pj-runner.service"):
                paths.append(pathlib.Path(folder) / pathlib.Path(unit).name)
                paths[-1].write_text((ROOT / unit).read_text().replace("/usr/bin/", f"{PROGRAMS}/"))
            result = run("systemd-analyze", "verify", "--man=no", *paths)
        ours = [line for line in result.stderr.splitlines() if "pj-" in line]
        self.assertEqual(ours, [], result.stderr)

    def test_runner_leaves_proc_uncovered(self):
        lines = (ROOT / "runner/pj-runner.service").read_text().splitlines()
        for option in ("ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname", "ProtectControlGroups", "ProcSubset",
                       "RestrictNamespaces", "RestrictSUIDSGID", "PrivateUsers", "MemoryDenyWriteExecute"):
            self.assertFalse([line for line in lines if line.startswith(option)], option)

    def test_samples_of_settings_name_settings(self):
        for program, path in (("api", "api/api.conf"), ("runner", "runner/runner.conf")):
            given = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / path).read_text(), re.M))
            self.assertGreater(len(given), 5)
            self.assertLessEqual(given, set(TABLES[program]))


class AppArmor(unittest.TestCase):
    def test_parser_accepts_the_profiles(self):
        if not shutil.which("apparmor_parser") or not pathlib.Path("/etc/apparmor.d/abi/4.0").exists():
            self.skipTest("AppArmor 4 is not installed")
        for profile in ("sandbox/pj-sandbox.apparmor", "helm/files/runner.apparmor"):
            with self.subTest(profile):
                result = run("apparmor_parser", "--skip-kernel-load", "--skip-cache", ROOT / profile)
                self.assertEqual(result.returncode, 0, result.stderr)


class TrialRedis(unittest.TestCase):
    def test_its_command_starts_a_redis_that_asks_for_the_password_and_keeps_everything(self):
        if not shutil.which("redis-server"):
            self.skipTest("redis-server is not installed")
        (helm,) = support.need("helm4")
        rendered = support.objects(support.template(helm, support.HERE / "values/trial.yaml").stdout)
        (pod,) = (o["spec"]["template"]["spec"] for o in rendered if o["kind"] == "StatefulSet")
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "PJ_REDIS_PASSWORD").write_text("correct horse")
            command = pod["containers"][0]["command"]
            script = command[2].replace("/etc/pithyjaunt/secrets", folder).replace("dir /data", f"dir {folder}\nport 0\nunixsocket {folder}/s")
            server = subprocess.Popen([*command[:2], script], stdout=subprocess.PIPE, text=True)
            try:
                for line in server.stdout:
                    if "ready to accept connections" in line.lower():
                        break
                ask = ["redis-cli", "-s", f"{folder}/s", "--no-auth-warning"]
                self.assertIn("NOAUTH", run(*ask, "ping").stdout)
                ask += ["-a", "correct horse"]
                self.assertEqual(run(*ask, "ping").stdout.strip(), "PONG")
                self.assertIn("noeviction", run(*ask, "config", "get", "maxmemory-policy").stdout)
                self.assertIn("yes", run(*ask, "config", "get", "appendonly").stdout)
            finally:
                server.terminate()
                server.communicate()


class Proxies(unittest.TestCase):
    def test_caddy_accepts_its_sample(self):
        caddy = shutil.which("caddy") or shutil.which("caddy", path=TOOLS)
        if not caddy:
            self.skipTest("caddy is not installed and could not be fetched")
        with tempfile.TemporaryDirectory() as home:
            result = run(caddy, "validate", "--adapter", "caddyfile", "--config", ROOT / "docs/examples/Caddyfile",
                         env={**os.environ, "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_nginx_accepts_its_sample(self):
        nginx = shutil.which("nginx") or shutil.which("nginx", path=f"/usr/sbin:{TOOLS}")
        if not nginx or not shutil.which("openssl"):
            self.skipTest("nginx or openssl is not installed, nor could nginx be fetched")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=pj.example.com", "-days", "1",
                            "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
            sample = (ROOT / "docs/examples/nginx.conf").read_text()
            sample = re.sub(r"/etc/letsencrypt/\S+/fullchain.pem", f"{folder}/cert.pem", sample)
            sample = re.sub(r"/etc/letsencrypt/\S+/privkey.pem", f"{folder}/key.pem", sample)
            path = pathlib.Path(folder) / "nginx.conf"
            temp = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            path.write_text(f"pid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temp}{sample}\n}}\n")
            result = run(nginx, "-t", "-q", "-c", path, "-p", folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("[emerg]", result.stderr)


class Values(unittest.TestCase):
    def test_every_value_of_the_chart_is_documented(self):
        rows = {path: (default, text) for path, default, text in reference.rows()}
        self.assertEqual([path for path, (_, text) in rows.items() if not text], [], "a comment of its own: # -- …")

        def walk(value, path):
            if path in rows and (rows[path][0] or not isinstance(value, dict)):
                return
            self.assertIsInstance(value, dict, f"{path} is in no row")
            for name, inner in value.items():
                walk(inner, f"{path}.{name}" if path else name)
        walk(yaml.safe_load((ROOT / "helm/values.yaml").read_text()), "")

    def test_the_reference_is_that_of_the_file(self):
        self.assertEqual((ROOT / "helm/values.md").read_text(), reference.page(), "run tests/helm/reference.py --write")


class Documents(unittest.TestCase):
    def test_settings_named_are_settings(self):
        for path in DOCUMENTS:
            named = set(re.findall(r"\b(PJ_[A-Z0-9_]+|MODEL_[A-Z_]+|GITHUB_[A-Z_]+|OPENAI_[A-Z_]+|ANTHROPIC_[A-Z_]+)\b", path.read_text()))
            named = {name.removesuffix("_FILE") if name.removesuffix("_FILE") in ALL else name for name in named}
            self.assertLessEqual(named, ALL | OTHERS, path.name)

    def test_files_named_are_there(self):
        for path in DOCUMENTS:
            for name in re.findall(r"`((?:api|docs|helm|runner|sandbox|tests)/[\w./-]+\.[a-z]+)`", path.read_text()):
                self.assertTrue((ROOT / name).exists() or list(ROOT.glob(name)), f"{path.name} names {name}")

    def test_paths_of_the_api_are_paths_of_the_api(self):
        known = {path.replace("/api/v1", "") for path in __import__("json").loads((ROOT / "api/openapi.json").read_text())["paths"]}
        shapes = {re.sub(r"\{[^}]+\}", "*", path) for path in known}
        text = (ROOT / "docs/api.md").read_text()
        for path in re.findall(r"\$PJ_URL(?:/api/v1)?(/[\w/$]+)", text) + re.findall(r"`(?:GET|POST|PATCH|PUT) (/[\w/{}$]+)", text):
            shape = re.sub(r"\$\w+|\{[^}]+\}", "*", path)
            self.assertTrue(shape in shapes or shape in ("/docs", "/metrics"), path)


if __name__ == "__main__":
    support.main()
