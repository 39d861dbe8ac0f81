#!/usr/bin/env python3
"""Carry out a workflow file as GitHub would: its jobs in the order of their needs, each `run:` under its shell, with the environment
that GitHub gives and nothing else.

    workflow.py WORKFLOW CONTEXT.json      CONTEXT: inputs, secrets, vars, github, temp, path, tokens {read, write}

First judged: what a careful reviewer would ask of it. On SIGTERM it is cancelled: the step that runs gets SIGINT (or SIGKILL when the
context says "abrupt"), jobs that are not always() are skipped. Prints {job: result} as its last line.
"""
import json
import os
import re
import signal
import subprocess
import sys

import yaml


def judge(workflow):
    """Faults of the file, in words."""
    faults = []
    if workflow.get("permissions") != {}:
        faults.append("permissions of the workflow are not empty")
    for name, job in workflow["jobs"].items():
        if "timeout-minutes" not in job:
            faults.append(f"{name}: no timeout-minutes")
        for step in job["steps"]:
            if "${{" in step.get("run", ""):
                faults.append(f"{name}: {step['name']}: an expression is put into a script")
            if "uses" in step:
                faults.append(f"{name}: {step['name']}: runs what others may change")
            if "secrets." in str({k: v for k, v in step.items() if k != "env"}):
                faults.append(f"{name}: {step['name']}: a secret outside of env")
    if workflow["jobs"]["work"].get("permissions") != {"contents": "read"}:
        faults.append("work: its token may do more than read")
    if "always()" not in str(workflow["jobs"]["report"].get("if")):
        faults.append("report: does not run when the others were cancelled")
    inputs = workflow[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads `on` as true
    if set(inputs) != {"task_id", "callback"}:
        faults.append("inputs are not task_id and callback")
    return faults


class Run:
    def __init__(self, workflow, context):
        self.workflow, self.context = workflow, context
        self.results, self.outputs = {}, {}
        self.cancelled = False
        self.process = None
        self.files = 0

    # ---- expressions: names, ==, !=, &&, ||, (), strings, always() ----

    def look_up(self, name, scope):
        value = scope
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return "" if value is None else value

    def value(self, text, scope):
        tokens = re.findall(r"'[^']*'|[A-Za-z_][\w.\-]*(?:\(\))?|==|!=|&&|\|\||[()]", text)
        words = {"==": "==", "!=": "!=", "&&": " and ", "||": " or ", "(": "(", ")": ")", "always()": "True"}
        python = [words.get(t) or (repr(t[1:-1]) if t[0] == "'" else repr(self.look_up(t, scope))) for t in tokens]
        return eval("".join(python), {"__builtins__": {}})  # noqa: S307 - tokens are ours or literals

    def fill(self, text, scope):
        return re.sub(r"\$\{\{(.*?)\}\}", lambda m: str(self.value(m.group(1).strip(), scope)), str(text))

    # ---- jobs and steps ----

    def scope(self, job):
        writes = "write" in str(job.get("permissions"))
        token = self.context["tokens"]["write" if writes else "read"] if job.get("permissions") else ""
        needs = job.get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        return {**{k: self.context[k] for k in ("inputs", "secrets", "vars")},
                "github": {**self.context["github"], "token": token},
                "needs": {n: {"result": self.results[n], "outputs": self.outputs[n]} for n in needs}, "steps": {}}

    def environment(self, step, scope, temp, output):
        env = {"PATH": self.context["path"], "HOME": temp, "RUNNER_TEMP": temp, "GITHUB_OUTPUT": output, "CI": "true",
               "GITHUB_ACTIONS": "true"}
        env.update({"GITHUB_" + k.upper(): str(v) for k, v in self.context["github"].items()})
        env.update({k: self.fill(v, scope) for k, v in step.get("env", {}).items()})
        return env

    def step(self, step, scope, temp):
        self.files += 1
        script, output = os.path.join(temp, f"script-{self.files}"), os.path.join(temp, f"output-{self.files}")
        with open(script, "w", encoding="utf-8") as f:
            f.write(step["run"])
        open(output, "w", encoding="utf-8").close()
        argv = [sys.executable, script] if step.get("shell") == "python" else ["bash", "-e", script]
        self.process = subprocess.Popen(argv, env=self.environment(step, scope, temp, output), cwd=temp, stdout=sys.stderr,
                                        start_new_session=True)
        code = self.process.wait()
        self.process = None
        with open(output, encoding="utf-8") as f:
            scope["steps"][step.get("id", str(self.files))] = {"outputs": dict(line.rstrip("\n").split("=", 1) for line in f)}
        return code

    def job(self, name, job):
        scope = self.scope(job)
        condition = job.get("if")
        if self.cancelled and "always()" not in str(condition):
            return "cancelled", {}
        if condition is None:
            wanted = all(n["result"] == "success" for n in scope["needs"].values())
        else:
            wanted = self.value(condition, scope)
            if "always()" not in condition:
                wanted = wanted and all(n["result"] == "success" for n in scope["needs"].values())
        if not wanted:
            return "skipped", {}
        temp = os.path.join(self.context["temp"], name)
        os.makedirs(temp)
        before = self.cancelled
        for step in job["steps"]:
            code = self.step(step, scope, temp)
            if self.cancelled and not before:
                return "cancelled", {}
            if code != 0:
                return "failure", {}
        return "success", {k: self.fill(v, scope) for k, v in job.get("outputs", {}).items()}

    def cancel(self, *_):
        self.cancelled = True
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL if self.context.get("abrupt") else signal.SIGINT)

    def go(self):
        for name, job in self.workflow["jobs"].items():  # written in the order of their needs
            self.results[name], self.outputs[name] = self.job(name, job)
        return self.results


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        workflow = yaml.safe_load(f)
    with open(sys.argv[2], encoding="utf-8") as f:
        run = Run(workflow, json.load(f))
    faults = judge(workflow)
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, run.cancel)
    print(json.dumps(run.go()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
