#!/usr/bin/env python3
"""The reference of all settings, made from the programs' own tables: docs/settings.md and the man page pithyjaunt.conf(5).

A change of a table is followed by `packaging/settings.py --write`; tests/helm/test_settings.py says so when it was forgotten."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAMS = [
    ("pj-api", "api/settings.c", "settings_table"),
    ("pj-runner", "runner/settings.c", "runner_setting_table"),
    ("pj", "api/cli/config.c", "cli_setting_table"),
]
PAGE = ROOT / "docs/settings.md"
MANUAL = ROOT / "packaging/pithyjaunt.conf.5.scd"

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|-?\d\w*|[^\s\w"]')
UNITS = {"DURATION": "duration", "SIZE": "size", "MONEY": "US dollars", "STR": "text", "SECRET": "secret", "BOOL": "0 or 1"}


def tokens(text):
    """C without comments as tokens; neighbouring strings are one."""
    text = re.sub(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/', lambda m: m.group(1) or " ", text, flags=re.S)
    out = []
    for token in TOKEN.findall(text):
        if token[0] == '"' and out and out[-1][0] == '"':
            out[-1] = out[-1][:-1] + token[1:]
        else:
            out.append(token)
    return out


def string(token):
    return None if token == "NULL" else token[1:-1].replace('\\"', '"').replace("\\\\", "\\")


def fields(row):
    """The initialisers of one row: split at the commas of its own level."""
    out, depth = [[]], 0
    for token in row:
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            out.append([])
        else:
            out[-1].append(token)
    return out


def words(text, name):
    (inner,) = re.findall(rf"\b{name}\[\] = \{{(.*?)\}};", text, re.S)
    return [string(t) for t in tokens(inner) if t[0] == '"']


def table(path, name):
    """Rows of one table: (name, type, default, words, help), in its order."""
    text = (ROOT / path).read_text()
    body = text[text.index(f"struct pj_setting {name}[] = {{"):]
    body = body[body.index("{") + 1:body.index("\n};")]
    rows, row = [], None
    for token in tokens(body):
        if token == "{":
            row = []
        elif token == "}":
            f = fields(row)
            kind = f[1][0].removeprefix("PJ_SET_")
            rows.append((string(f[0][0]), kind, string(f[3][0]), words(text, f[6][0]) if kind == "WORD" else None, string(f[7][0])))
        elif row is not None:
            row.append(token)
    assert len(rows) > 2 and all(r[0] and r[4] for r in rows), path
    return rows


def kind_of(row):
    return ", ".join(row[3]) if row[3] else UNITS.get(row[1], "number")


HEAD = {
    "pj-api": "File of the package: `/etc/pithyjaunt/api.conf`.",
    "pj-runner": "File of the package: `/etc/pithyjaunt/runner.conf`.",
    "pj": "File: `$XDG_CONFIG_HOME/pithyjaunt/pj.conf`, which `pj login` writes, readable by its owner alone.",
}


def page():
    out = ["# Settings", "",
           "Made from the tables of the programs by `packaging/settings.py --write`; not to be edited.", "",
           "Each is an environment variable, an option (`PJ_REDIS_URL`: `--redis-url`) and a line `NAME=value` of the file that `PJ_CONFIG`",
           "names. Command line beats environment beats file beats default. A secret has no option for its value, since arguments are public: give",
           "`NAME`, or `NAME_FILE` with the path of a file. Durations take `ms s m h d`, sizes `K M G`. `--check-config` judges them all; a mistake",
           "is named and the exit code is 78.", ""]
    for program, path, name in PROGRAMS:
        out += [f"## {program}", "", HEAD[program], "", "| setting | value | default | |", "| --- | --- | --- | --- |"]
        for row in table(path, name):
            default = f"`{row[2]}`" if row[2] is not None else ""
            out.append(f"| `{row[0]}` | {kind_of(row)} | {default} | {row[4].replace('|', chr(92) + '|')} |")
        out.append("")
    return "\n".join(out)


def escape(text):
    return re.sub(r"([_*\\])", r"\\\1", text)


def manual():
    out = ["pithyjaunt.conf(5)", "", "# NAME", "", "pithyjaunt.conf - settings of pj-api, pj-runner and pj", "", "# DESCRIPTION", "",
           "Each setting is an environment variable, an option (PJ\\_REDIS\\_URL is *--redis-url*) and a line of the file that *PJ_CONFIG* names:",
           "_NAME_=_value_, with # before comments and optional quotes round the value. The command line beats the environment, the environment",
           "the file. A secret has no option for its value: it is given as _NAME_, or as _NAME_*\\_FILE* with the path of a file.", "",
           "Durations take ms, s, m, h and d, sizes K, M and G. A mistake is named, and the exit code is 78; *--check-config* looks for one", "without starting.", ""]
    for program, path, name in PROGRAMS:
        out += [f"# {program.upper()}", "", escape(HEAD[program].replace("`", "")), ""]
        for row in table(path, name):
            default = f" (default: {escape(row[2])})" if row[2] is not None else ""
            out += [f"*{row[0].replace('_', chr(92) + '_')}*, {escape(kind_of(row))}{default}", f"\t{escape(row[4])}", ""]
    out += ["# FILES", "", "_/etc/pithyjaunt/api.conf_, _/etc/pithyjaunt/runner.conf_", "\tRead by the units of the package.", "",
            "# SEE ALSO", "", "*pj*(1), *pj-api*(8), *pj-runner*(8)", ""]
    return "\n".join(out)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: settings.py --write")
    PAGE.write_text(page())
    MANUAL.write_text(manual())
