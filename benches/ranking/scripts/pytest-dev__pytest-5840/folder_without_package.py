"""A conftest.py in a folder with capitals, outside any package, where paths are the same in lower case as on Windows: it knows its own path."""
import os
import subprocess
import sys
import tempfile

PROGRAM = '''
import os.path, sys
os.path.normcase = lambda path: os.fspath(path).lower()
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "-s", *sys.argv[1:]]))
'''

with tempfile.TemporaryDirectory(prefix="kms") as folder:
    inner = os.path.join(folder, "ComponentTest", "PIsys")
    os.makedirs(inner)
    os.symlink("ComponentTest", os.path.join(folder, "componenttest"))
    os.symlink("PIsys", os.path.join(folder, "ComponentTest", "pisys"))
    with open(os.path.join(inner, "conftest.py"), "w") as file:
        file.write("print('LOADED', __file__)\nimport pytest\n@pytest.fixture\ndef value():\n    return 3\n")
    with open(os.path.join(inner, "test_it.py"), "w") as file:
        file.write("def test_it(value):\n    assert value == 3\n")
    done = subprocess.run([sys.executable, "-c", PROGRAM, os.path.join("ComponentTest", "PIsys")], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    right = os.path.join(os.path.realpath(inner), "conftest.py")
loaded = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line.startswith("LOADED")]
if done.returncode == 0 and loaded == [right]:
    print("Issue resolved")
elif loaded == [right.lower()]:
    print("Issue reproduced")
else:
    print("Other issues")
