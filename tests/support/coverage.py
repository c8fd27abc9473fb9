"""Line coverage per module, from what gcov says of build/cov.
usage: coverage.py build/cov"""
import json
import pathlib
import subprocess
import sys


def main(build):
    lines = {}      # (file, line) -> was it run?
    for data in sorted(pathlib.Path(build, "obj").rglob("*.gcda")):
        answer = subprocess.run(
            ["gcov", "--json-format", "--stdout", str(data)],
            capture_output=True, text=True, check=False)
        for text in answer.stdout.splitlines():
            for file in json.loads(text)["files"]:
                for line in file["lines"]:
                    place = (file["file"], line["line_number"])
                    lines[place] = lines.get(place) or line["count"] > 0
    modules = {}
    for (file, _), was_run in lines.items():
        if file.startswith(("shared/", "ocspd/", "wsgate/")):
            count = modules.setdefault(file, [0, 0])
            count[0] += was_run
            count[1] += 1
    for file, (run, every) in sorted(modules.items()):
        print(f"{100 * run / every:5.1f} %  {run:5} of {every:5}  {file}")
    run = sum(count[0] for count in modules.values())
    every = sum(count[1] for count in modules.values())
    if every:
        print(f"{100 * run / every:5.1f} %  {run:5} of {every:5}  all")


if __name__ == "__main__":
    main(sys.argv[1])
