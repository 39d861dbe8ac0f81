#!/usr/bin/env python3
"""The reference of the chart's values, helm/values.md, made from the comments of helm/values.yaml. `reference.py --write` makes it anew."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VALUES = ROOT / "helm/values.yaml"
PAGE = ROOT / "helm/values.md"
HEAD = """# Values of the chart

Made from `values.yaml` by `tests/helm/reference.py --write`. `values.schema.json` refuses what is not here; [README.md](README.md) explains
the choices. A pool names below `runner.pools.<name>` what differs from `runner.poolDefaults`.

| value | default | |
| --- | --- | --- |
"""


def rows():
    """(path, default, text) of each value, in the file's order; a value without a comment of its own has "" for text."""
    stack, comment, found = [], [], []
    for line in VALUES.read_text().splitlines():
        word = line.strip()
        if not word:
            comment = []
            continue
        if word.startswith("#"):
            if word.startswith("# --"):
                comment = [word[4:].strip()]
            elif comment:
                comment.append(word[1:].strip())
            continue
        match = re.match(r"^( *)([\w.-]+):(.*)$", line)
        if not match:
            comment = []
            continue
        indent, name, default = len(match[1]), match[2], match[3].strip()
        while stack and stack[-1][0] >= indent:
            stack.pop()
        path = ".".join([*(n for _, n in stack), name])
        stack.append((indent, name))
        if default or comment:
            found.append((path, default, " ".join(comment)))
        comment = []
    return found


def page():
    def cell(text):
        return text.replace("|", "\\|").replace("<", "&lt;")
    return HEAD + "".join(f"| `{path}` | {'`' + cell(default) + '`' if default else ''} | {cell(text)} |\n" for path, default, text in rows())


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: reference.py --write")
    PAGE.write_text(page())
