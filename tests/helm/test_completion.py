"""What `pj completion` prints, asked by the shells themselves: nouns, verbs of a noun, options of a verb."""
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import support

PJ = pathlib.Path(os.environ.get("PJ_TEST_BIN", "/nonexistent")) / "pj"

# The words typed so far (the last one unfinished), and what must and must not be offered.
ASKED = [
    (["ta"], {"task"}, {"repo"}),
    (["task", "p"], {"patch", "publish"}, {"show"}),
    (["task", "create", "--pri"], {"--priority"}, {"--follow"}),
    (["run", "--fo"], {"--follow"}, {"--execute"}),
    (["admin", "reset"], {"reset-token"}, {"stats"}),
    (["runner", "-"], set(), {"--follow", "--base"}),
    (["repo", "list", "--"], {"--json"}, {"--status"}),
    (["task", "list", "--"], {"--status"}, {"--scopes"}),
]
BASHLIKE = 'COMP_WORDS=(pj {words}); COMP_CWORD={last}; COMP_LINE="pj {words}"; _pj; printf "%s\\n" "${{COMPREPLY[@]}}"'


class Completion(unittest.TestCase):
    def setUp(self):
        if not PJ.exists():
            self.skipTest("pj is not built")

    def ask(self, shell, argv, script):
        if not shutil.which(shell):
            self.skipTest(f"{shell} is not installed")
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "HOME": home.name}
        for words, wanted, unwanted in ASKED:
            with self.subTest(shell, words=words):
                result = subprocess.run([*argv, script(words)], capture_output=True, text=True, env=env, timeout=30)
                offered = {line.split("\t")[0] for line in result.stdout.splitlines()}
                self.assertLessEqual(wanted, offered, result.stderr)
                self.assertFalse(unwanted & offered, offered)

    def test_bash(self):
        self.ask("bash", ["bash", "--norc", "-c"],
                 lambda w: f'. <("{PJ}" completion bash); ' + BASHLIKE.format(words=" ".join(w), last=len(w)))

    def test_zsh(self):
        # Not at a prompt, so that the completion system itself is not asked, only the function that it calls.
        self.ask("zsh", ["zsh", "-f", "-c"],
                 lambda w: f'autoload -U +X compinit && compinit -u -D; setopt KSH_ARRAYS; . <("{PJ}" completion zsh); '
                 'compgen() { emulate -L zsh; local last=${@[-1]}; print -l -- ${(M)${=2}:#${last}*}; }; '
                 + BASHLIKE.format(words=" ".join(w), last=len(w)))

    def test_zsh_at_a_prompt(self):
        """As installed: the completion system finds the file, loads it at the first TAB and answers at once."""
        if not shutil.which("zsh"):
            self.skipTest("zsh is not installed")
        with tempfile.TemporaryDirectory() as home:
            script = subprocess.run([PJ, "completion", "zsh"], capture_output=True, text=True, check=True).stdout
            (pathlib.Path(home) / "_pj").write_text(script)
            pid, terminal = pty.fork()
            if pid == 0:
                os.environ.update(HOME=home, ZDOTDIR=home, TERM="dumb")
                os.execvp("zsh", ["zsh", "-f", "-i"])
            try:
                def until(text, typed):
                    os.write(terminal, typed.encode())
                    seen, end = "", time.monotonic() + 30
                    while text not in seen and time.monotonic() < end:
                        if select.select([terminal], [], [], 1)[0]:
                            seen += os.read(terminal, 65536).decode(errors="replace")
                    self.assertIn(text, seen)
                until("at 1 prompt", f"fpath=({home} $fpath); autoload -U compinit; compinit -u -D; echo at $((0+1)) prompt\n")
                until("task ", "pj ta\t")
                until("publish ", "pu\t")
            finally:
                os.kill(pid, signal.SIGKILL)
                os.close(terminal)
                os.waitpid(pid, 0)

    def test_fish(self):
        self.ask("fish", ["fish", "--no-config", "-c"],
                 lambda w: f'source ("{PJ}" completion fish | psub); complete --do-complete "pj {" ".join(w)}"')

    def test_what_is_offered_is_what_there_is(self):
        text = subprocess.run([PJ, "completion", "bash"], capture_output=True, text=True, check=True).stdout
        for verb in ("completion", "doctor", "login", "logs", "run", "up"):
            self.assertIn(verb, text)


if __name__ == "__main__":
    support.main()
