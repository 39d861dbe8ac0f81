#!/usr/bin/env python3
"""In place of `docker run`: what the image holds is in PATH, so the command is run as it is, with the variables that -e names and the
image's own (image.json beside this file), and folders that -v mounts under the names they have outside."""
import json
import os
import sys


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "image.json"), encoding="utf-8") as f:
        env = json.load(f)
    if env.pop("missing", None):
        print("docker: Error response from daemon: manifest unknown", file=sys.stderr)
        return 125
    args, mounts = sys.argv[1:], {}
    if args.pop(0) != "run":
        return 125
    while args and args[0].startswith("-"):
        option = args.pop(0)
        if option == "--rm":
            continue
        value = args.pop(0)
        if option == "-e":
            name, given, text = value.partition("=")
            if given or name in os.environ:
                env[name] = text if given else os.environ[name]
        elif option == "-v":
            outside, inside = value.split(":")[:2]
            mounts[inside] = outside
        elif option not in ("--cap-drop", "--security-opt"):
            print("docker: unknown option", option, file=sys.stderr)
            return 125
    command = args[1:]  # the image's name comes first
    for inside, outside in mounts.items():
        command = [outside + a[len(inside):] if a.startswith(inside + "/") else a for a in command]
    os.execvpe(command[0], command, env)


if __name__ == "__main__":
    sys.exit(main())
