"""None as the type of a parameter and inside of brackets, written by hand, is a link too, and other names stay links."""
import os
import re
import subprocess
import sys
import tempfile
import zlib

CONF = """\
extensions = ["sphinx.ext.intersphinx"]
intersphinx_mapping = {{"python": ("https://docs.python.org/3", {inventory!r})}}
"""
INDEX = ".. py:function:: one(x: None) -> int\n\n.. py:function:: two(x: int) -> Dict[int, None]\n"
NAMES = b"None py:data 1 library/constants.html#$ -\nint py:class 1 library/functions.html#$ -\n"
INVENTORY = b"# Sphinx inventory version 2\n# Project: Python\n# Version: 3.8\n# The remainder of this file is compressed using zlib.\n"

with tempfile.TemporaryDirectory() as folder:
    docs, out, inventory = (os.path.join(folder, name) for name in ("docs", "out", "objects.inv"))
    os.mkdir(docs)
    with open(inventory, "wb") as file:
        file.write(INVENTORY + zlib.compress(NAMES))
    for path, text in [(os.path.join(docs, "index.rst"), INDEX), (os.path.join(docs, "conf.py"), CONF.format(inventory=inventory))]:
        with open(path, "w") as file:
            file.write(text)
    done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", docs, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    with open(os.path.join(out, "index.html"), encoding="utf-8") as file:
        page = file.read()
links = re.findall(r'href="https://docs\.python\.org/3/library/\w+\.html#([^"]+)"', page)
if done.returncode == 0 and links == ["None", "int", "int", "int", "None"]:
    print("Issue resolved")
elif done.returncode == 0 and "None" not in links and links:
    print("Issue reproduced")
else:
    print("Other issues")
