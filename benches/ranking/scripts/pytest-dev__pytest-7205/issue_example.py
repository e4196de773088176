"""The test and the command of the issue."""
import os
import subprocess
import sys
import tempfile

TEST = '''
import pytest

@pytest.mark.parametrize('data', [b'Hello World'])
def test_data(data):
    pass
'''

with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "test_bytes.py"), "w") as file:
        file.write(TEST)
    done = subprocess.run([sys.executable, "-bb", "-m", "pytest", "-p", "no:cacheprovider", "--setup-show"], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
if "BytesWarning" in done.stdout:
    print("Issue reproduced")
elif done.returncode == 0 and "1 passed" in done.stdout and done.stdout.count("[b'Hello World']") >= 2:  # at setup and at teardown
    print("Issue resolved")
else:
    print("Other issues")
