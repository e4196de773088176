"""Runs with -k, which picks tests whose names hold a word."""
import os
import subprocess
import sys
import tempfile

TEST = '''
def test_None():
    pass

def test_True():
    pass

def test_other():
    pass
'''

said = set()
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "test_it.py"), "w") as file:
        file.write(TEST)
    for words, wanted in [("None", ["test_None"]), ("not True", ["test_None", "test_other"]), ("True or other", ["test_True", "test_other"])]:
        done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "-k", words], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True)
        passed = [line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "PASSED" in line]
        if "ValueError" in done.stdout or done.returncode < 0:
            said.add("Issue reproduced")
        else:
            said.add("Issue resolved" if passed == wanted else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
