"""Each of two terms that differ in case only can be referred to."""
import os
import re
import subprocess
import sys
import tempfile

INDEX = """\
Glossary
========

See :term:`MySQL` first and :term:`mysql` then.

.. glossary::

   MySQL
      A database.

   mysql
      Its command.
"""

with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "conf.py"), "w") as file:
        file.write("")
    with open(os.path.join(folder, "index.rst"), "w") as file:
        file.write(INDEX)
    out = os.path.join(folder, "out")
    done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", folder, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    with open(os.path.join(out, "index.html"), encoding="utf-8") as file:
        page = file.read()
terms = re.findall(r'<dt id="([^"]+)">', page)
links = re.findall(r'class="reference internal" href="#(term-[^"]+|[^"]*)"[^>]*><span class="xref std std-term">', page)
if done.returncode == 0 and len(set(terms)) == 2 and links == terms:
    print("Issue resolved" if "duplicate" not in done.stderr else "Issue reproduced")
elif done.returncode == 0 and len(set(terms)) == 2 and len(links) == 2 and len(set(links)) == 1:
    print("Issue reproduced")  # both lead to one of them
else:
    print("Other issues")
