"""The module's name stands in the brackets of a generic type, and before them."""
import os
import subprocess
import sys
import tempfile

MODULE = '''"""Docstring."""

import abc
import typing

X = ...  # type: typing.Optional[abc.ABC]
'''

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "a.py")
    with open(path, "w") as file:
        file.write(MODULE)
    done = subprocess.run([sys.executable, "-m", "pylint", "--rcfile=", "--persistent=n", "--disable=all", "--enable=unused-import", path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=folder, env=dict(os.environ, PYLINTHOME=folder))
if "unused-import" in done.stdout:
    print("Issue reproduced")
else:
    print("Issue resolved" if done.returncode == 0 else "Other issues")
