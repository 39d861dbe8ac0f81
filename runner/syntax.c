#include "runner/syntax.h"

#include <fnmatch.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define SCRIPT_MAX ((size_t)16 * 1024)

/* Compilers want headers, flags and generated files that a single file does not bring. So only what the parser itself says
 * counts; a missing header or an unknown type means that nobody can tell. */
#define COMPILE(compiler, language)                                                                \
    "out=$(LC_ALL=C " compiler " -x " language                                                     \
    " -fsyntax-only -w -I. -Iinclude -Isrc \"$1\" 2>&1) && exit 0\n"                               \
    "case $out in\n"                                                                               \
    "*'fatal error:'*|*'unknown type name'*|*'does not name a type'*|*'file not found'*) "         \
    "echo 'it needs headers or settings that are not here'; exit 77 ;;\n"                          \
    "esac\n"                                                                                       \
    "printf '%s\\n' \"$out\" | grep -E 'error: (expected|stray|missing terminating|unterminated|"  \
    "extraneous|[^ ]+ without|.else. |invalid suffix|exponent has|empty character|"                \
    "invalid preprocessing|a function-definition is not allowed|.*at end of input)' && exit 1\n"   \
    "echo 'it does not compile alone'; exit 77"

/* A header of C++ is no broken C where only gcc is there. */
#define PERHAPS_CXX                                                                                \
    "if ! command -v g++ >/dev/null && "                                                           \
    "! gcc -x c -fsyntax-only -w -I. -Iinclude -Isrc \"$1\" 2>/dev/null && "                       \
    "grep -qE '^[[:space:]]*(class|namespace|template|using)([[:space:]<]|$)|::' \"$1\"; then "    \
    "echo 'it may be C++, and g++ is not here'; exit 77; fi\n"

/* The compiler that the repository brings, or one that is installed. */
#define FIND_TYPESCRIPT                                                                            \
    "let ts;for(const d of [process.cwd()+\"/node_modules/\",\"/usr/share/nodejs/\","              \
    "\"/usr/lib/node_modules/\",\"/usr/local/lib/node_modules/\"])"                                \
    "try{ts=require(d+\"typescript\");break}catch(e){}"
#define HAVE_TYPESCRIPT "node -e '" FIND_TYPESCRIPT "process.exit(ts?0:1)'"

/* Syntax only, as the compiler's own service gives it: no types are looked up. */
#define TYPESCRIPT                                                                                 \
    "node -e '" FIND_TYPESCRIPT "const f=process.argv[1];"                                         \
    "const r=ts.transpileModule(require(\"fs\").readFileSync(f,\"utf8\"),{fileName:f,"             \
    "reportDiagnostics:true,compilerOptions:{jsx:1,target:99,module:99,"                           \
    "experimentalDecorators:true}});"                                                              \
    "for(const d of r.diagnostics){"                                                               \
    "const p=d.file?d.file.getLineAndCharacterOfPosition(d.start):{line:0,character:0};"           \
    "console.log(f+\":\"+(p.line+1)+\":\"+(p.character+1)+\": \"+"                                 \
    "ts.flattenDiagnosticMessageText(d.messageText,\" \"));}"                                      \
    "process.exit(r.diagnostics.length?1:0)' \"$1\""

/* By its name alone a .js file may be of either kind, and node 20 takes whatever holds `import` for good without a look. JSX is
 * not node's to judge. */
#define NODE                                                                                       \
    "case $1 in\n*.js)\n"                                                                          \
    "for t in cjs mjs; do\ncp \"$1\" /tmp/pj-syntax.$t\n"                                          \
    "node --check /tmp/pj-syntax.$t >/tmp/pj-syntax.$t.out 2>&1 && exit 0\ndone\n"                 \
    "if grep -q '</\\|/>' \"$1\"; then echo 'it may hold JSX, which node does not read'; "         \
    "exit 77; fi\n"                                                                                \
    "t=cjs; grep -qE '^(import|export)[ {]' \"$1\" && t=mjs\n"                                     \
    "sed \"s#/tmp/pj-syntax.$t#$1#\" /tmp/pj-syntax.$t.out; exit 1 ;;\n"                           \
    "*) node --check \"$1\" ;;\nesac"

#define PYTHON(code) "python3 -c '" code "' \"$1\""

/* JSON of tools that allow comments (TypeScript's, VS Code's) is in no row. */
/* clang-format off */
const struct syntax_language syntax_languages[] = {
    {"C", {"*.c"}, {{"gcc", NULL, COMPILE("gcc", "c")}, {"clang", NULL, COMPILE("clang", "c")}}},
    {"C header", {"*.h"}, {
        {"gcc", NULL, "if g++ -x c++ -fsyntax-only -w -I. -Iinclude -Isrc \"$1\" 2>/dev/null; then exit 0; fi\n" PERHAPS_CXX COMPILE("gcc", "c")},
        {"clang", NULL, "if clang -x c++ -fsyntax-only -w -I. -Iinclude -Isrc \"$1\" 2>/dev/null; then exit 0; fi\n" COMPILE("clang", "c")}}},
    {"C++", {"*.cc", "*.cpp", "*.cxx", "*.hh", "*.hpp", "*.hxx"},
        {{"g++", NULL, COMPILE("g++", "c++")}, {"clang++", NULL, COMPILE("clang++", "c++")}}},
    {"Go", {"*.go"}, {{"gofmt", NULL, "gofmt -e \"$1\" >/dev/null"}}},
    {"JavaScript", {"*.js", "*.cjs", "*.mjs"}, {{"node", NULL, NODE}}},
    {"JSON", {"*.json"}, {
        {"python3", NULL, PYTHON("import json,sys; json.loads(open(sys.argv[1],\"rb\").read().decode(\"utf-8-sig\"))")},
        {"node", NULL, "node -e 'JSON.parse(require(\"fs\").readFileSync(process.argv[1],\"utf8\").replace(/^\\uFEFF/,\"\"))' \"$1\""},
        {"perl", "perl -MJSON::PP -e 1", "perl -MJSON::PP -0777 -ne 's/^\\xEF\\xBB\\xBF//; JSON::PP->new->utf8->allow_nonref->decode($_)' \"$1\""}}},
    {"Lua", {"*.lua"}, {{"luac", NULL, "luac -p \"$1\""}, {"luac5.4", NULL, "luac5.4 -p \"$1\""}}},
    {"Perl", {"*.pl", "*.pm"}, {
        {"perl", NULL,
         "out=$(perl -Ilib -I. -c \"$1\" 2>&1) && exit 0\n"
         "case $out in *\"Can't locate\"*) echo 'it needs modules that are not here'; exit 77 ;; esac\n"
         "printf '%s\\n' \"$out\"; exit 1"}}},
    {"PHP", {"*.php"}, {{"php", NULL, "php -l \"$1\""}}},
    {"Python", {"*.py", "*.pyi"}, {{"python3", NULL, PYTHON("import ast,sys; ast.parse(open(sys.argv[1],\"rb\").read(), sys.argv[1])")}}},
    {"Ruby", {"*.rb", "*.rake", "*.gemspec", "Gemfile", "Rakefile"}, {{"ruby", NULL, "ruby -c \"$1\" >/dev/null"}}},
    {"Rust", {"*.rs"}, {
        {"rustfmt", "echo | rustfmt --edition 2021 >/dev/null", "rustfmt --edition 2021 < \"$1\" >/dev/null"},
        {"rustc", "rustc --version", "out=$(RUSTC_BOOTSTRAP=1 rustc --edition 2021 --crate-type lib -Zparse-crate-root-only \"$1\" 2>&1) && exit 0\n"
         "case $out in *'unknown'*'option'*) echo 'this rustc cannot parse alone'; exit 77 ;; esac\nprintf '%s\\n' \"$out\"; exit 1"}}},
    {"shell", {"*.sh", "*.bash"}, {{"bash", NULL, "bash -n \"$1\""}, {"sh", NULL, "case $1 in *.bash) echo 'no bash is here'; exit 77 ;; esac\nsh -n \"$1\""}}},
    {"TOML", {"*.toml"}, {
        {"python3 with tomllib", "python3 -c 'import tomllib'", PYTHON("import sys,tomllib; tomllib.load(open(sys.argv[1],\"rb\"))")}}},
    {"TypeScript", {"*.ts", "*.tsx", "*.mts", "*.cts", "*.jsx"}, {{"node with typescript", HAVE_TYPESCRIPT, TYPESCRIPT}}},
    {"XML", {"*.xml"}, {
        {"xmllint", NULL, "xmllint --nonet --noout \"$1\""},
        {"python3", NULL, PYTHON("import sys,xml.sax; xml.sax.parse(sys.argv[1], xml.sax.ContentHandler())")}}},
    /* Templates (Helm's and others) are YAML only after they were rendered. */
    {"YAML", {"*.yaml", "*.yml"}, {
        {"python3 with yaml", "python3 -c 'import yaml'",
         "if grep -q '{{' \"$1\"; then echo 'it looks like a template'; exit 77; fi\n" PYTHON("import sys,yaml\nfor _ in yaml.parse(open(sys.argv[1],\"rb\")): pass")},
        {"ruby", NULL,
         "if grep -q '{{' \"$1\"; then echo 'it looks like a template'; exit 77; fi\n"
         "ruby -ryaml -e 'YAML.parse_stream(File.binread(ARGV[0]).force_encoding(\"UTF-8\"))' \"$1\""}}},
    {NULL, {NULL}, {{NULL, NULL, NULL}}},
};
/* clang-format on */

static bool has_comments(const char *path, const char *name)
{
    static const char *const globs[] = {"tsconfig*.json", "jsconfig*.json", ".eslintrc.json",
                                        "devcontainer.json"};

    for (size_t i = 0; i < PJ_COUNT_OF(globs); i++)
        if (fnmatch(globs[i], name, 0) == 0)
            return true;
    return strstr(path, ".vscode/") != NULL;
}

const struct syntax_language *syntax_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

    if (has_comments(path, name))
        return NULL;
    for (const struct syntax_language *l = syntax_languages; l->name != NULL; l++)
        for (size_t i = 0; i < PJ_COUNT_OF(l->globs) && l->globs[i] != NULL; i++)
            if (fnmatch(l->globs[i], name, 0) == 0)
                return l;
    return NULL;
}

/* The first checker that is there becomes a function, called for each file in a shell of its own, so that it may exit. */
char *syntax_script(const struct syntax_language *language)
{
    struct pj_str s;
    char *text;

    pj_str_init(&s, SCRIPT_MAX);
    for (size_t i = 0; i < SYNTAX_CHECKERS_MAX && language->checkers[i].tool != NULL; i++) {
        const struct syntax_checker *c = &language->checkers[i];

        (void)pj_str_puts(&s, i == 0 ? "if " : "elif ");
        if (c->have != NULL)
            (void)pj_str_putf(&s, "( %s ) >/dev/null 2>&1", c->have);
        else
            (void)pj_str_putf(&s, "command -v %s >/dev/null 2>&1", c->tool);
        (void)pj_str_putf(&s, "; then\njudge() (\n%s\n)\n", c->command);
    }
    (void)pj_str_putf(&s,
                      "else exit %d\nfi\nrc=0\n"
                      "for f; do\n"
                      "[ -f \"$f\" ] || continue\n"
                      "judge \"$f\" 2>&1\n"
                      "case $? in\n0) ;;\n%d) [ $rc -ne 0 ] || rc=%d ;;\n*) rc=%d ;;\nesac\n"
                      "done\nexit $rc\n",
                      SYNTAX_NO_CHECKER, SYNTAX_UNKNOWN, SYNTAX_UNKNOWN, SYNTAX_BROKEN);
    text = pj_str_take(&s);
    pj_str_release(&s);
    return text;
}

char *syntax_tools(const struct syntax_language *language)
{
    struct pj_str s;
    char *text;

    pj_str_init(&s, 200);
    for (size_t i = 0; i < SYNTAX_CHECKERS_MAX && language->checkers[i].tool != NULL; i++)
        (void)pj_str_putf(&s, "%s%s", i > 0 ? " or " : "", language->checkers[i].tool);
    text = pj_str_take(&s);
    pj_str_release(&s);
    return text;
}
