"""A run with --pastebin=all, and one with --pastebin=failed, in which the service refuses what is said to be Python, as in the issue."""
import os
import subprocess
import sys
import tempfile

CONFTEST = '''
import urllib.error
import urllib.request
from urllib.parse import parse_qs


class Response:
    def read(self):
        return b'<a href="/raw/abc">raw</a>'


def urlopen(url, data=None, *more, **named):
    lexer = parse_qs(data.decode("ascii"))["lexer"]
    if lexer != ["text"]:
        raise urllib.error.HTTPError(url, 400, "Bad Request", {}, None)
    return Response()


urllib.request.urlopen = urlopen
'''

said = set()
with tempfile.TemporaryDirectory() as folder:
    for name, text in [("conftest.py", CONFTEST), ("test_it.py", "def test_it():\n    assert 0, 'no Python: {'\n")]:
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    for mode, link in [("all", "pastebin session-log: https://bpaste.net/show/abc"), ("failed", "--> https://bpaste.net/show/abc")]:
        done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pastebin=" + mode], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
        if "400: Bad Request" in done.stdout:
            said.add("Issue reproduced")
        else:
            said.add("Issue resolved" if link in done.stdout else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
