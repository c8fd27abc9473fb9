"""The house rules that no compiler knows, over the tree it is started in.

usage: check.py [NAME...]; without names every check runs. Each finding is one
line "file:line: what"; the exit code is 1 when there is one.
"""
import os
import re
import subprocess
import sys
from collections import Counter

SOURCE_DIRS = ("shared", "ocspd", "wsgate")
FILE_MAX, HEADER_MAX = 600, 120
FUNCTION_HALF, FUNCTION_NINE_OF_TEN = 13, 45


def files(root, dirs=SOURCE_DIRS, suffixes=(".c", ".h")):
    for top in dirs:
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if name.endswith(suffixes):
                    path = os.path.join(folder, name)
                    yield os.path.relpath(path, root)


def read(root, path):
    with open(os.path.join(root, path), errors="replace") as file:
        return file.read()


def code_only(text):
    """Comments and the inside of strings become blanks; lines stay."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'
                  r"'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def numbered(text):
    return enumerate(text.splitlines(), 1)


# ---- layers -----------------------------------------------------------------

class Layers:
    """tests/lint/layers.txt: which module stands on which level."""

    def __init__(self, text):
        self.level = {}     # "dir/name" or "dir/*" -> (section, number)
        self.pure = set()
        section, number = None, 0
        for line in text.splitlines():
            line = line.split("#")[0].strip()
            if not line:
                continue
            if line.startswith("["):
                section = line.strip("[]")
                continue
            number += 1
            for word in line.split():
                if section == "pure":
                    self.pure.add(word)
                else:
                    self.level[word] = (section, number)

    def module(self, path):
        """The longest listed name the file belongs to, or None."""
        stem = os.path.splitext(path)[0]
        names = [name for name in self.level
                 if stem == name or stem.startswith(name + "_")]
        if names:
            return max(names, key=len)
        folder = os.path.dirname(path) + "/*"
        return folder if folder in self.level else None

    def allows(self, path, included):
        mine, other = self.module(path), self.module(included)
        if mine is None or other is None:
            return "is in no layer: add it to tests/lint/layers.txt"
        if mine == other:
            return None
        (my_section, my_level) = self.level[mine]
        (section, level) = self.level[other]
        if section not in (my_section, "shared"):
            return "belongs to the other program"
        if level > my_level:
            return "is above it"
        if level == my_level:
            return "stands on the same level"
        return None


def includes(root, path):
    for number, line in numbered(read(root, path)):
        found = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def check_layers(root):
    layers = Layers(read(root, "tests/lint/layers.txt"))
    for path in files(root):
        if layers.module(path) is None:
            yield f"{path}:1: is in no layer: add it to tests/lint/layers.txt"
            continue
        for number, ours, name in includes(root, path):
            if not ours:
                continue
            if "/" not in name or not os.path.exists(
                    os.path.join(root, name)):
                yield f"{path}:{number}: {name} does not start at the root"
                continue
            wrong = layers.allows(path, name)
            if wrong:
                yield f"{path}:{number}: includes {name}, which {wrong}"
    headers = {os.path.splitext(path)[0]: path for path in files(root)
               if path.endswith(".h")}
    yield from circles(root, headers)


def circles(root, headers):
    """Headers that include each other in a circle."""
    graph = {stem: {os.path.splitext(name)[0]
                    for _, ours, name in includes(root, path) if ours}
             for stem, path in headers.items()}
    done = set()

    def walk(stem, trail):
        if stem in trail:
            yield f"{headers[stem]}:1: circle of headers: " + " -> ".join(
                trail[trail.index(stem):] + [stem])
            return
        if stem in done or stem not in graph:
            return
        for other in sorted(graph[stem]):
            yield from walk(other, trail + [stem])
        done.add(stem)

    for stem in sorted(graph):
        yield from walk(stem, [])


# ---- single rules -------------------------------------------------------------

IMPURE = ("uv.h", "curl/", "sys/socket.h", "netinet/", "arpa/inet.h",
          "sys/epoll.h", "poll.h", "shared/now.h", "wsgate/net/",
          "shared/atomic_file.h")


def check_pure(root):
    layers = Layers(read(root, "tests/lint/layers.txt"))
    for path in files(root):
        if os.path.splitext(path)[0] not in layers.pure:
            continue
        for number, _, name in includes(root, path):
            if name.startswith(IMPURE):
                yield f"{path}:{number}: a pure module includes {name}"


OWNERS = {  # header -> the only files that may include it
    r"curl/curl\.h": r"ocspd/fetch([a-z_]*\.c|_[a-z_]+\.h)",
    r"llhttp\.h": r"wsgate/http/http_parse([a-z_]*\.c|_[a-z_]+\.h)",
    r"yaml\.h": r"shared/config_[a-z_]*\.[ch]",
}


def check_owners(root):
    for path in files(root):
        for number, _, name in includes(root, path):
            for header, owner in OWNERS.items():
                if re.fullmatch(header, name) and \
                        not re.fullmatch(owner, path):
                    yield f"{path}:{number}: only {owner} includes {name}"


BANNED = "strcpy strncpy strcat strncat sprintf vsprintf strtok atoi atol " \
    "atof alloca gets".split()
BANNED_IN_DAEMONS = "system popen".split()


def check_banned(root):
    def find(path, words):
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(words) + r")\s*\(")
        for number, line in numbered(code_only(read(root, path))):
            found = pattern.search(line)
            if found:
                yield f"{path}:{number}: {found.group(1)}() is banned"
    for path in files(root, SOURCE_DIRS + ("tests",)):
        yield from find(path, BANNED)
    for path in files(root):
        yield from find(path, BANNED_IN_DAEMONS)


def check_opening(root):
    """A source file opens with its comment of three lines or more."""
    for path in files(root, suffixes=(".c",)):
        text = read(root, path)
        found = re.match(r"/\*.*?\*/", text, flags=re.S)
        if not found or found.group(0).count("\n") < 2:
            yield f"{path}:1: opens without its comment of three lines"


def check_names(root):
    seen = {}
    for path in files(root, suffixes=(".c",)):
        name = os.path.basename(path)
        if name == "main.c" or name.startswith("verb_"):
            continue
        if name in seen:
            yield f"{path}:1: same base name as {seen[name]}"
        seen[name] = path


# Written so that this file does not find itself.
MARKS = r"\b(T[O]DO|FIX[M]E|X[X]X|HA[C]K)\b"
PLACES = r"(/w[o]rk/|/f[a]rm/|deb\.d[e]bian\.org|registry\.n[p]mjs|" \
    r"/ho[m]e/[a-z])"


def tracked(root):
    """What git knows; every file where there is no git."""
    answer = subprocess.run(["git", "-C", root, "ls-files"],
                            capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return [name for name in answer.stdout.splitlines()
                if os.path.isfile(os.path.join(root, name))]
    return [os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root) for name in names]


def check_text(root):
    for path in tracked(root):
        if path.startswith(("tests/fuzz/corpus/", "tests/data/")):
            continue
        for number, line in numbered(read(root, path)):
            if re.search(MARKS, line):
                yield f"{path}:{number}: a note to oneself stays out of the tree"
            if re.search(PLACES, line):
                yield f"{path}:{number}: names a place on one machine"


def check_sleep(root):
    """Tests wait for a condition, never for a time; where time itself is what
    is tested, the line says so: "# pause: why"."""
    for path in files(root, ("tests/unit",), (".c",)):
        for number, line in numbered(code_only(read(root, path))):
            if re.search(r"\b(sleep|usleep)\s*\(", line):
                yield f"{path}:{number}: a unit test sleeps"
    for path in files(root, ("tests/integration",), (".py",)):
        for number, line in numbered(read(root, path)):
            if re.search(r"\btime\.sleep\((?!.*# pause: \w)", line):
                yield f"{path}:{number}: sleeps: use wait_until(), or say " \
                    "why on the line, \"# pause: ...\""


# ---- lengths --------------------------------------------------------------------

def functions(root):
    """(lines, path, line, name) of each function, by the house's layout:
    name at column 0, braces alone at column 0."""
    for path in files(root, suffixes=(".c",)):
        name, start = "?", None
        for number, line in numbered(code_only(read(root, path))):
            found = re.match(r"([a-z_][a-z0-9_]*)\(", line)
            if found:
                name = found.group(1)
            if line == "{":
                start = number
            elif line == "}" and start:
                yield number - start - 1, path, start, name
                start = None


def report_lengths(root):
    every = sorted(functions(root), reverse=True)
    if every:
        sizes = sorted(size for size, *_ in every)
        print(f"  {len(sizes)} functions; half within "
              f"{sizes[len(sizes) // 2]} lines (goal {FUNCTION_HALF}), nine "
              f"of ten within {sizes[len(sizes) * 9 // 10]} "
              f"(goal {FUNCTION_NINE_OF_TEN}); the longest:")
    for size, path, line, name in every[:10]:
        print(f"  {size:5} {path}:{line} {name}()")
    for path in files(root):
        lines = read(root, path).count("\n")
        limit = HEADER_MAX if path.endswith(".h") else FILE_MAX
        if lines > limit:
            print(f"  warning: {path} has {lines} lines (goal {limit})")


CHECKS = {name[6:]: function for name, function in sorted(globals().items())
          if name.startswith("check_")}


def main(names):
    bad = Counter()
    for name in names or CHECKS:
        for finding in CHECKS[name]("."):
            print(f"{finding} [{name}]")
            bad[name] += 1
    if not names:
        report_lengths(".")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
