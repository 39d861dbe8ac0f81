#!/usr/bin/env python3
"""Cut GitHub's published OpenAPI description down to the calls that clients of ours make.

    extract.py DESCRIPTION OUT       write the cut
    extract.py --check DESCRIPTION FILE   exit 1 and show where FILE is not the cut of DESCRIPTION

DESCRIPTION is generated/api.github.com.json of the npm package @octokit/openapi. The cut keeps what decides whether a request or an
answer is valid (paths, parameters, bodies, schemas) and drops what explains it (descriptions, examples). forge_contract.c reads it.
"""
import difflib
import json
import sys

# One a call; the stand-in refuses every other one.
OPERATIONS = [
    "GET /rate_limit",
    "GET /repos/{owner}/{repo}",
    "GET /repos/{owner}/{repo}/actions/runs",
    "GET /repos/{owner}/{repo}/actions/runs/{run_id}",
    "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}",
    "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
    "GET /repos/{owner}/{repo}/branches/{branch}",
    "GET /repos/{owner}/{repo}/branches/{branch}/protection",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "GET /repos/{owner}/{repo}/installation",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "GET /repos/{owner}/{repo}/pulls",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /repos/{owner}/{repo}/rules/branches/{branch}",
    "GET /repos/{owner}/{repo}/rulesets/{ruleset_id}",
    "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
    "POST /app/installations/{installation_id}/access_tokens",
    "POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel",
    "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "POST /repos/{owner}/{repo}/pulls",
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
]
DROPPED = {"description", "summary", "example", "examples", "externalDocs", "deprecated", "title", "tags", "readOnly", "default"}


def plain(node, inside_properties=False):
    """`node` without what only explains. Names under `properties` are no keywords."""
    if isinstance(node, list):
        return [plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for name, value in node.items():
        if not inside_properties and (name in DROPPED or name.startswith("x-")):
            continue
        kept[name] = plain(value, inside_properties=name == "properties" and not inside_properties)
    return kept


def refs(node):
    if isinstance(node, list):
        for one in node:
            yield from refs(one)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)


def look_up(doc, ref):
    node = doc
    for part in ref.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def json_schema(content):
    return plain(content.get("application/json", {}).get("schema"))


def resolved(doc, node):
    return look_up(doc, node["$ref"]) if "$ref" in node else node


def operation(doc, name):
    method, path = name.split(" ", 1)
    whole = doc["paths"][path]
    op = whole[method.lower()]
    parameters = [resolved(doc, p) for p in whole.get("parameters", []) + op.get("parameters", [])]
    cut = {
        "operationId": op["operationId"],
        "path": {p["name"]: plain(p["schema"]) for p in parameters if p["in"] == "path"},
        "query": {p["name"]: {"required": p.get("required", False), "schema": plain(p["schema"])}
                  for p in parameters if p["in"] == "query"},
        "responses": {},
    }
    if "requestBody" in op:
        body = resolved(doc, op["requestBody"])
        cut["body"] = {"required": body.get("required", False), "schema": json_schema(body["content"])}
    for status, answer in op["responses"].items():
        content = resolved(doc, answer).get("content")
        cut["responses"][status] = json_schema(content) if content else None
    return cut


def cut(doc):
    operations = {name: operation(doc, name) for name in OPERATIONS}
    schemas, wanted = {}, set(refs(operations))
    while wanted:
        ref = wanted.pop()
        name = ref.removeprefix("#/components/schemas/")
        if name not in schemas:
            schemas[name] = plain(look_up(doc, ref))
            wanted |= set(refs(schemas[name]))
    return {"source": f"{doc['info']['title']}, @octokit/openapi {doc['info']['version']}",
            "operations": operations, "components": {"schemas": schemas}}


def text_of(doc):
    """A line a call and a line a schema: small, and a change is seen."""
    lines = ['{"source":' + json.dumps(doc["source"]) + ',', '"operations":{']
    dense = {"separators": (",", ":"), "sort_keys": True}
    lines += [",\n".join(f"{json.dumps(n)}:{json.dumps(o, **dense)}" for n, o in sorted(doc["operations"].items()))]
    lines += ['},"components":{"schemas":{']
    lines += [",\n".join(f"{json.dumps(n)}:{json.dumps(s, **dense)}" for n, s in sorted(doc["components"]["schemas"].items()))]
    return "\n".join(lines + ["}}}", ""])


def main(argv):
    check = len(argv) > 1 and argv[1] == "--check"
    if len(argv) != (4 if check else 3):
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[-2], encoding="utf-8") as f:
        made = text_of(cut(json.load(f)))
    if not check:
        with open(argv[-1], "w", encoding="utf-8") as f:
            f.write(made)
        return 0
    with open(argv[-1], encoding="utf-8") as f:
        there = f.read()
    for line in difflib.unified_diff(made.splitlines(), there.splitlines(), "the published description", argv[-1], n=0, lineterm=""):
        print(line[:300], file=sys.stderr)
    return 0 if made == there else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
