"""A module under another name, a module in a package, and a type comment inside a function; what is really unused must still be told."""
import os
import subprocess
import sys
import tempfile

MODULE = '''"""Docstring."""

import collections.abc
import datetime as when
import decimal
import os


def function():
    """Docstring."""
    value = None  # type: decimal.Decimal
    return value


DAY = None  # type: when.date
MANY = []  # type: collections.abc.Sequence
'''

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "a.py")
    with open(path, "w") as file:
        file.write(MODULE)
    done = subprocess.run([sys.executable, "-m", "pylint", "--rcfile=", "--persistent=n", "--disable=all", "--enable=unused-import",
                           "--msg-template={msg_id}:{msg}", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=folder,
                          env=dict(os.environ, PYLINTHOME=folder))
told = [line.split(":", 1)[1] for line in done.stdout.splitlines() if line.startswith("W0611:")]
if len(told) == 1 and "import os" in told[0]:
    print("Issue resolved")
elif len(told) > 1 and any("import os" in line for line in told):
    print("Issue reproduced")
else:
    print("Other issues")
