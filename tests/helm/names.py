"""The names of settings in the chart, held equal to the programs' own tables.

Run with --update after a settings table has changed: it rewrites the lists in values.schema.json and templates/_settings.tpl, and the
reference (docs/settings.md, the man page) with packaging/settings.py."""
import json
import re
import subprocess
import sys

from support import CHART, ROOT, settings_table

TABLES = {"api": "api/settings.c", "runner": "runner/settings.c"}
SCHEMA = CHART / "values.schema.json"
TEMPLATE = CHART / "templates/_settings.tpl"

# Settings that other values of the chart become, by program.
REDIS = {"PJ_REDIS_CA_FILE", "PJ_REDIS_CERT_FILE", "PJ_REDIS_KEY_FILE", "PJ_REDIS_URL"}
MANAGED = {
    "api": {"PJ_DRAIN_DELAY", "PJ_FORGES", "PJ_CA_FILE", "PJ_LISTEN", "PJ_METRICS_LISTEN", "PJ_PRICES",
            "PJ_PUBLIC_URL"} | REDIS,
    "runner": {"PJ_FORGES", "PJ_CA_FILE", "PJ_PRICES", "PJ_PUBLIC_URL", "PJ_REPLAY_FILE", "PJ_METRICS_LISTEN",
               "PJ_RUNNER_EXECUTORS", "PJ_RUNNER_IDLE", "PJ_RUNNER_LABELS", "PJ_RUNNER_NAME", "PJ_RUNNER_SLOTS", "PJ_RUNNER_TASKS", "PJ_STATE_DIR", "PJ_TASK_TIMEOUT"} | REDIS,
}


def wanted():
    """What the schema and the template must list."""
    tables = {program: settings_table(path) for program, path in TABLES.items()}
    secret = {p: sorted(n for n, t in rows.items() if t == "SECRET") for p, rows in tables.items()}
    plain = {p: {n for n in rows if n not in secret[p]} - MANAGED[p] for p, rows in tables.items()}
    return {
        "sharedSettings": sorted(plain["api"] & plain["runner"]),
        "apiSettings": sorted(plain["api"]),
        "runnerSettings": sorted(plain["runner"]),
        "secrets": sorted(set(secret["api"]) | set(secret["runner"])),
        "template": secret,
    }


def found():
    definitions = json.loads(SCHEMA.read_text())["definitions"]
    lists = {key: sorted(definitions[key]["properties"]) for key in ("sharedSettings", "apiSettings", "runnerSettings", "secrets")}
    lists["template"] = {program: sorted(re.search(rf"^{program}: \[(.*)\]$", TEMPLATE.read_text(), re.M).group(1).split(", "))
                         for program in TABLES}
    return lists


def update():
    want = wanted()
    schema = json.loads(SCHEMA.read_text())
    for key in ("sharedSettings", "apiSettings", "runnerSettings", "secrets"):
        kind = "secret" if key == "secrets" else "scalar"
        schema["definitions"][key]["properties"] = {name: {"$ref": f"#/definitions/{kind}"} for name in want[key]}
    SCHEMA.write_text(json.dumps(schema, indent=2) + "\n")
    text = TEMPLATE.read_text()
    for program, names in want["template"].items():
        text = re.sub(rf"^{program}: \[.*\]$", f"{program}: [{', '.join(names)}]", text, flags=re.M)
    TEMPLATE.write_text(text)
    subprocess.run([sys.executable, ROOT / "packaging/settings.py", "--write"], check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        update()
    else:
        sys.exit("usage: names.py --update")
