"""The issue's run where paths are the same in lower case, as on Windows: the conftest.py of a package is imported from where it is, by its own name."""
import os
import subprocess
import sys
import tempfile

# `normcase` makes paths comparable; here it does what it does on Windows. Links let the file system find names in lower case.
PROGRAM = '''
import os.path, sys
os.path.normcase = lambda path: os.fspath(path).lower()
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "-s", *sys.argv[1:]]))
'''
FILES = {
    "Python/__init__.py": "",
    "Python/helpers.py": "VALUE = 3\n",
    "Python/PIsys/__init__.py": "",
    "Python/PIsys/conftest.py": '''
print("LOADED", __name__, __file__)
import pytest
from Python.helpers import VALUE

@pytest.fixture
def value():
    return VALUE
''',
    "Python/PIsys/test_it.py": '''
import pytest

@pytest.mark.smoke
def test_it(value):
    assert value == 3
''',
}


def run(folder, *words):
    """The exit code, and what the conftest.py said that was loaded."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], cwd=os.path.join(folder, "Python"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    return done.returncode, [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("LOADED")], done.stdout


with tempfile.TemporaryDirectory(prefix="kms") as folder:
    for name, text in FILES.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    os.symlink("Python", os.path.join(folder, "python"))
    os.symlink("PIsys", os.path.join(folder, "Python", "pisys"))
    right = [["Python.PIsys.conftest", os.path.join(os.path.realpath(folder), "Python", "PIsys", "conftest.py")]]
    runs = [run(folder, *words, "./PIsys", "-m", "smoke") for words in (["--collect-only"], [])]
if all(code == 0 and loaded == right for code, loaded, _ in runs):
    print("Issue resolved")
elif all("ImportError while loading conftest" in text or "pisys" in str(loaded) for _, loaded, text in runs):
    print("Issue reproduced")
else:
    print("Other issues")
