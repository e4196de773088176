"""The module of the issue: nothing in it is an unused import."""
import os
import subprocess
import sys
import tempfile

MODULE = '''"""Docstring."""

import abc
from abc import ABC

X = ...  # type: abc.ABC
Y = ...  # type: ABC
'''

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "a.py")
    with open(path, "w") as file:
        file.write(MODULE)
    done = subprocess.run([sys.executable, "-m", "pylint", "--rcfile=", "--persistent=n", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, cwd=folder, env=dict(os.environ, PYLINTHOME=folder))
if "unused-import" in done.stdout:
    print("Issue reproduced")
else:
    print("Issue resolved" if done.returncode == 0 and "rated at 10.00/10" in done.stdout else "Other issues")
