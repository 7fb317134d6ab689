"""Raise the format numbers of caches whose code has changed: what older code computed is then not found any more.

    python tools/cache_formats.py

``tests/cache_formats.json`` lists, for each kind of ``FORMATS`` in ``sklearn_sae_encoding/_cache.py``, the modules that
make its content and a hash of their code at the present number. Where the code is another one this raises the number
and writes the hash anew. Comments, docstrings and empty lines don't count.
"""

import ast
import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "cache_formats.json"
NUMBERS = ROOT / "sklearn_sae_encoding" / "_cache.py"


def code_hash(patterns, root=ROOT):
    """Hash the code of the modules that match `patterns`, each of which has to match one."""
    digest = hashlib.sha256()
    for pattern in patterns:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"{pattern} matches no module: correct the list in {RECORD.name}.")
        for path in paths:
            digest.update(
                f"{path.relative_to(root).as_posix()}\n{code_of(path.read_text(encoding='utf-8'))}\n".encode()
            )
    return digest.hexdigest()


def code_of(source):
    """The lines of a module that are neither empty, comments nor docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    left_out = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            left_out.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    kept = [line.rstrip() for number, line in lines if number not in left_out]
    return "\n".join(line for line in kept if line and not line.lstrip().startswith("#"))


def changed(record, numbers):
    """The kinds whose code or number is not the recorded one."""
    now = {kind: {"format": numbers[kind], "sha256": code_hash(entry["modules"])} for kind, entry in record.items()}
    return {kind for kind, entry in record.items() if {key: entry[key] for key in now[kind]} != now[kind]}


def main():
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    source = NUMBERS.read_text(encoding="utf-8")
    numbers = {kind: int(re.search(rf'"{kind}": (\d+)', source)[1]) for kind in record}
    for kind in sorted(changed(record, numbers)):
        entry = record[kind]
        if numbers[kind] == entry["format"]:
            numbers[kind] += 1
            source = re.sub(rf'"{kind}": \d+', f'"{kind}": {numbers[kind]}', source)
        entry.update(format=numbers[kind], sha256=code_hash(entry["modules"]))
        print(f"{kind}: format {numbers[kind]}")
    NUMBERS.write_text(source, encoding="utf-8")
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
