"""What the handbook quotes is what the programs say."""
import re

import pytest

import harness

PAGE = harness.ROOT / "contrib/doc/troubleshooting.md"
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
# What stands for something else: a number, "...", a format's %s.
HOLE = re.compile(r"\.\.\.|\d+( [a-z])?|%[-+.*0-9a-z]*[a-zA-Z]")


def literals():
    """Every string of the programs, parts that stand side by side joined, a
    NUL for each hole."""
    found = []
    for folder in ("ocspd", "wsgate", "shared"):
        for path in (harness.ROOT / folder).rglob("*.c"):
            text = re.sub(r'"\s*\n\s*"', "", path.read_text())
            found += [part.replace('\\"', '"') for part in
                      LITERAL.findall(text)]
    return "\n".join(HOLE.sub("\0", one) for one in found)


def rows():
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[0] != "seen":
            yield cells[0]


def quoted(cell):
    """What a program of ours is said to say in this cell."""
    if "(systemd)" in cell:
        return []
    words = [re.sub(r"""=["'](.*)["']$""", r"=\1", word) for word in
             re.findall("`([^`]+)`", cell)]
    return [word for word in words if not re.match(
        r"(ocspd|wsgate|systemctl|journalctl) ", word) and word[0] != "/"
        and not word.endswith((".socket", ".service"))]


def parts(words):
    """What of a quotation must stand in a source; a field is key and value."""
    field = re.fullmatch(r"(\w+)=(\S+)", words)
    pieces = list(field.groups()) if field else HOLE.split(words)
    return [piece.strip() for piece in pieces if piece and piece.strip()]


def is_said(part, said):
    """As it stands, or with holes of the format for less than half its words:
    "may not read this file" is made by "may not %s this %s"."""
    if part in said:
        return True
    words = part.split()
    pattern = " ".join(f"(?:{re.escape(word)}|\0)" for word in words)
    return any(2 * found[0].count("\0") < len(words)
               for found in re.finditer(pattern, said))


@pytest.mark.row("documents: symptoms are quoted as the programs say them")
def test_every_symptom_is_a_line_of_the_programs():
    said = literals()
    missing = [(cell, part) for cell in rows() for words in quoted(cell)
               for part in parts(words) if not is_said(part, said)]
    assert not missing
    assert sum(len(quoted(cell)) for cell in rows()) > 40
