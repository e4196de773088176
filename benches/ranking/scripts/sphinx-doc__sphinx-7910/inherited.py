"""A decorated __init__ belongs to the class that defines it: a class that inherits it does not show it, one with its own does."""
import os
import subprocess
import sys
import tempfile

DECORATORS = """\
import functools


def decorate(function):
    @functools.wraps(function)
    def wrapper(*words, **named):
        return function(*words, **named)
    return wrapper
"""
CONF = """\
import sys
sys.path.insert(0, {folder!r})
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
napoleon_include_init_with_doc = {include}
napoleon_include_special_with_doc = {include}
napoleon_include_private_with_doc = {include}
"""


def built(module, include):
    """The text of the pages for a module."""
    with tempfile.TemporaryDirectory() as folder:
        docs, out = os.path.join(folder, "docs"), os.path.join(folder, "out")
        os.mkdir(docs)
        for path, text in [(os.path.join(folder, "decorators.py"), DECORATORS), (os.path.join(folder, "trainer.py"), module),
                           (os.path.join(docs, "index.rst"), ".. automodule:: trainer\n   :members:\n"),
                           (os.path.join(docs, "conf.py"), CONF.format(folder=folder, include=include))]:
            with open(path, "w") as file:
                file.write(text)
        subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "text", docs, out], check=True, stderr=subprocess.DEVNULL)
        with open(os.path.join(out, "index.txt"), encoding="utf-8") as file:
            return file.read()


MODULE = '''
from decorators import decorate


class Trainer:
    """A trainer."""

    @decorate
    @decorate
    def __init__(self, towers):
        """How it is made."""


class Heir(Trainer):
    """Makes nothing of its own."""
'''

count = built(MODULE, True).count("How it is made.")
print({0: "Issue reproduced", 1: "Issue resolved"}.get(count, "Other issues"))
