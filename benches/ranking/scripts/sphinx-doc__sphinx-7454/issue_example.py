"""The project of the issue, in both modes, with a list of Python's names that needs no network: f1's None must be a link, as f2's int is."""
import os
import re
import subprocess
import sys
import tempfile
import zlib

CONF = """\
import sys
sys.path.insert(0, {folder!r})
extensions = ["sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
intersphinx_mapping = {{"python": ("https://docs.python.org/3", {inventory!r})}}
autodoc_typehints = {mode!r}
"""
MODULE = "def f1() -> None: return None\ndef f2() -> int: return 42\n"
INDEX = ".. automodule:: type_hint_test\n.. autofunction:: f1\n.. autofunction:: f2\n"
NAMES = b"None py:data 1 library/constants.html#$ -\nint py:class 1 library/functions.html#$ -\n"
INVENTORY = b"# Sphinx inventory version 2\n# Project: Python\n# Version: 3.8\n# The remainder of this file is compressed using zlib.\n"


def links(mode):
    """The links to Python's pages, and whether there was a warning."""
    with tempfile.TemporaryDirectory() as folder:
        docs, out, inventory = (os.path.join(folder, name) for name in ("docs", "out", "objects.inv"))
        os.mkdir(docs)
        with open(inventory, "wb") as file:
            file.write(INVENTORY + zlib.compress(NAMES))
        for path, text in [(os.path.join(folder, "type_hint_test.py"), MODULE), (os.path.join(docs, "index.rst"), INDEX),
                           (os.path.join(docs, "conf.py"), CONF.format(folder=folder, inventory=inventory, mode=mode))]:
            with open(path, "w") as file:
                file.write(text)
        done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-n", "-b", "html", docs, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)
        with open(os.path.join(out, "index.html"), encoding="utf-8") as file:
            page = file.read()
    return re.findall(r'href="https://docs\.python\.org/3/library/([^"]+)"', page), done.returncode == 0 and "not found" not in done.stderr


NONE, INT = "constants.html#None", "functions.html#int"
signature, description = links("signature"), links("description")
if signature == ([NONE, INT], True) and description == ([NONE, INT], True):
    print("Issue resolved")
elif signature[0] == [INT]:
    print("Issue reproduced")
else:
    print("Other issues")
