"""A decorated __init__ with a doc string is shown where napoleon_include_init_with_doc says so, and only there."""
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
    def __init__(self, towers):
        """How it is made."""


class Plain:
    """Without a decorator."""

    def __init__(self, towers):
        """How the plain one is made."""
'''

shown, hidden = built(MODULE, True), built(MODULE, False)
if "How the plain one is made." not in shown or "is made." in hidden:
    print("Other issues")
else:
    print("Issue resolved" if "How it is made." in shown else "Issue reproduced")
