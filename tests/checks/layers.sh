#!/bin/bash
# layers.sh ROOT: every include of lib, api, runner and sandbox against layers.txt.
set -euo pipefail
cd "$1"
find lib api runner sandbox -name '*.[ch]' -not -path '*/node_modules/*' | sort |
    xargs grep -nE '^ *# *include *["<]' /dev/null |
    awk -v rules=tests/checks/layers.txt '
    function folder_of(path,    best, f) {
        best = ""
        for (f in allowed)
            if (index(path, f "/") == 1 && length(f) > length(best)) best = f
        return best
    }
    BEGIN {
        while ((getline line < rules) > 0) {
            sub(/#.*/, "", line)
            if (split(line, side, "<-") == 2) {
                split(side[1], name, " ")
                allowed[name[1]] = " " side[2] " "
            } else if (split(line, side, "@") == 2) {
                split(side[1], name, " ")
                home[name[1]] = " " side[2] " "
            }
        }
    }
    {
        split($0, part, ":")
        file = part[1]; where = part[1] ":" part[2]
        text = substr($0, length(where) + 2)
        system_header = text ~ /</
        gsub(/^ *# *include *["<]|[">].*$/, "", text)
        mine = folder_of(file)
        if (mine == "") { print where ": no rule for this folder in layers.txt"; bad = 1; next }
        if (system_header) {
            for (h in home)
                if (index(text, h) == 1) {
                    n = split(home[h], places, " "); fine = 0
                    for (i = 1; i <= n; i++)
                        if (file == places[i] || index(file, places[i] "/") == 1) fine = 1
                    if (!fine) { print where ": <" text "> belongs to" home[h]; bad = 1 }
                }
            next
        }
        if (index(text, "/") == 0) { if (text !~ /(_gen|_filters)\.h$/) { print where ": \"" text "\" is not spelled from the root"; bad = 1 } next }
        other = folder_of(text)
        if (other == "" || other == mine) next
        if (index(allowed[mine], " " other " ") == 0) { print where ": " mine " may not include " other; bad = 1 }
    }
    END { exit bad }'
