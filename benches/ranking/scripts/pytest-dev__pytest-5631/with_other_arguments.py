"""An array among other patches: arguments that mocks are given for must still be told from fixtures."""
import os
import subprocess
import sys
import tempfile

TEST = '''
import os.path
from unittest import mock

import pytest


class Array:
    """What numpy's arrays do when they are compared: the result is an array again, which is neither true nor false."""

    def __init__(self, values):
        self.values = values

    def __eq__(self, other):
        return Array([value == other for value in self.values])

    def __bool__(self):
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")


ARRAY = Array([-5.5, 3.0])


@pytest.fixture
def seven():
    return 7


@mock.patch("os.path.sep", new=ARRAY)
@mock.patch("os.path.abspath")
@mock.patch("os.path.curdir", new="here")
def test_function(abspath, seven):
    assert os.path.abspath is abspath
    assert os.path.sep is ARRAY
    assert seven == 7


class TestMethods:
    @mock.patch.object(os.path, "sep", ARRAY)
    def test_method(self, seven):
        assert os.path.sep is ARRAY
        assert seven == 7

    @mock.patch.object(os.path, "abspath", new=mock.DEFAULT)
    @mock.patch.object(os.path, "sep", new=ARRAY)
    def test_default(self, abspath, seven):
        assert os.path.abspath is abspath
        assert seven == 7
'''

with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "test_array.py"), "w") as file:
        file.write(TEST)
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_array.py"], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
if "ValueError" in done.stdout and "is ambiguous" in done.stdout:
    print("Issue reproduced")
else:
    print("Issue resolved" if done.returncode == 0 and "3 passed" in done.stdout else "Other issues")
