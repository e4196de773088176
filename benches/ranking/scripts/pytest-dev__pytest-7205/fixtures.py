"""Bytes as parameters of fixtures, and the other options that show setups."""
import os
import subprocess
import sys
import tempfile

TEST = '''
import pytest

@pytest.fixture(params=[b'one', b'\\xff\\x00'], scope='module')
def outer(request):
    return request.param

@pytest.fixture(params=[b'three'])
def inner(request, outer):
    return request.param

def test_data(inner):
    pass
'''

said = set()
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "test_bytes.py"), "w") as file:
        file.write(TEST)
    for option in ("--setup-show", "--setup-only", "--setup-plan"):
        done = subprocess.run([sys.executable, "-bb", "-m", "pytest", "-p", "no:cacheprovider", option], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
        shown = all(text in done.stdout for text in ["M outer[b'one']", "M outer[b'\\xff\\x00']", "F inner (fixtures used: outer)[b'three']"])
        if "BytesWarning" in done.stdout:
            said.add("Issue reproduced")
        else:
            said.add("Issue resolved" if done.returncode == 0 and shown else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
