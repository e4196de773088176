"""The names of a patched function's arguments, which the traceback of the issue asks for."""
from unittest import mock

from _pytest.compat import getfuncargnames


class Array:
    """What numpy's arrays do when they are compared: the result is an array again, which is neither true nor false."""

    def __init__(self, values):
        self.values = values

    def __eq__(self, other):
        return Array([value == other for value in self.values])

    def __bool__(self):
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")


@mock.patch("os.path.sep", new=Array([-5.5, 3.0]))
def array(fixture):
    pass


@mock.patch("os.path.abspath")
@mock.patch("os.path.sep", new=Array([-5.5, 3.0]))
def array_and_mock(abspath, fixture):
    pass


try:
    names = [tuple(getfuncargnames(function)) for function in (array, array_and_mock)]
except ValueError:
    print("Issue reproduced")
else:
    print("Issue resolved" if names == [("fixture",), ("fixture",)] else "Other issues")
