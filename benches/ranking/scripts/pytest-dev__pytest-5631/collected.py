"""A test that patches something with an array, as in the issue, is collected and passes."""
import os
import subprocess
import sys
import tempfile

TEST = '''
import os.path
from unittest.mock import patch


class Array:
    """What numpy's arrays do when they are compared: the result is an array again, which is neither true nor false."""

    def __init__(self, values):
        self.values = values

    def __eq__(self, other):
        return Array([value == other for value in self.values])

    def __bool__(self):
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")


ARRAY = Array([-5.5, 3.0])


@patch(target="os.path.sep", new=ARRAY)
def test_patched():
    assert os.path.sep is ARRAY
'''

with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "test_array.py"), "w") as file:
        file.write(TEST)
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_array.py"], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
if "ValueError" in done.stdout and "is ambiguous" in done.stdout:
    print("Issue reproduced")
else:
    print("Issue resolved" if done.returncode == 0 and "1 passed" in done.stdout else "Other issues")
