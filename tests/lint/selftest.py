"""The house checks, fed with bad snippets: each must find what it is there
for, and find nothing in a clean tree."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402

LAYERS = """
[shared]
shared/*
[ocspd]
ocspd/target
ocspd/fetch ocspd/verify
ocspd/main
[wsgate]
wsgate/net/*
wsgate/tls/*
[pure]
ocspd/verify
"""
OPENING = "/*\n * What.\n * From where. To where.\n */\n"
CLEAN = {
    "tests/lint/layers.txt": LAYERS,
    "shared/err.h": "",
    "shared/err.c": OPENING + '#include "shared/err.h"\n',
    "ocspd/target.h": '#include "shared/err.h"\n',
    "ocspd/verify.h": '#include "ocspd/target.h"\n',
    "ocspd/fetch.h": "",
    "ocspd/fetch.c": OPENING + "#include <curl/curl.h>\n"
    "/* strcpy() in a comment, \"strcpy(\" */\nconst char *s = \"gets(x)\";\n"
    "int my_system(void);\nint x = vsnprintf(a, b, c, d);\n",
    "ocspd/fetch_screen.c": OPENING + '#include "ocspd/fetch.h"\n',
    "wsgate/net/a.h": "",
    "wsgate/net/b.h": '#include "wsgate/net/a.h"\n',
}
# check, sentence, file, its text
BAD = [
    ("layers", "a lower module includes a higher one",
     "shared/err.c", OPENING + '#include "ocspd/target.h"\n'),
    ("layers", "a station includes another",
     "ocspd/fetch.c", OPENING + '#include "ocspd/verify.h"\n'),
    ("layers", "a helper of a station includes another station",
     "ocspd/fetch_screen.c", OPENING + '#include "ocspd/verify.h"\n'),
    ("layers", "one program includes the other",
     "wsgate/tls/c.c", OPENING + '#include "ocspd/target.h"\n'),
    ("layers", "a folder includes the one above it",
     "wsgate/net/b.h", '#include "wsgate/tls/t.h"\n'),
    ("layers", "a module is in no layer", "ocspd/stray.c", OPENING),
    ("layers", "an include does not start at the root",
     "shared/err.c", OPENING + '#include "err.h"\n'),
    ("layers", "headers include each other",
     "wsgate/net/a.h", '#include "wsgate/net/b.h"\n'),
    ("pure", "a pure module sees the loop",
     "ocspd/verify.c", OPENING + "#include <uv.h>\n"),
    ("owners", "a second file includes curl.h",
     "ocspd/verify.c", OPENING + "#include <curl/curl.h>\n"),
    ("owners", "a second file includes llhttp.h",
     "wsgate/net/n.c", OPENING + "#include <llhttp.h>\n"),
    ("names", "two files share a base name", "wsgate/net/fetch.c", OPENING),
    ("opening", "a source opens without its comment",
     "shared/err.c", "/* short */\n"),
    ("text", "a note to oneself", "shared/err.c", "/* TO" "DO: later */\n"),
    ("text", "a place on one machine", "shared/err.c", "/* /wo" "rk/x */\n"),
    ("sleep", "a unit test sleeps", "tests/unit/test_x.c", " sleep(1);\n"),
    ("sleep", "an integration test sleeps",
     "tests/integration/test_x.py", "    time." "sleep(1)\n"),
] + [("banned", f"{word}() is called", "shared/err.c",
      f"{OPENING} x = {word}(a, b);\n")
     for word in check.BANNED + check.BANNED_IN_DAEMONS]


def findings(tree, name):
    with tempfile.TemporaryDirectory() as root:
        for path, text in tree.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w") as file:
                file.write(text)
        return list(check.CHECKS[name](root))


def main():
    wrong = 0
    for name in check.CHECKS:
        for finding in findings(CLEAN, name):
            print(f"{name} finds in a clean tree: {finding}")
            wrong += 1
    for name, sentence, path, text in BAD:
        extra = {"wsgate/tls/t.h": ""} if "tls/t.h" in text else {}
        found = findings({**CLEAN, **extra, path: text}, name)
        if not found:
            print(f"{name} does not see that {sentence}")
            wrong += 1
    print(f"  {len(BAD)} bad snippets, {wrong} not seen or wrongly seen")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
