"""Terms that differ in case only are different terms: no warning, which -W would make an error; the same term twice still is one."""
import os
import subprocess
import sys
import tempfile

HEAD = "Glossary\n========\n\n.. glossary::\n\n"
DIFFERENT = "   MySQL\n      A database.\n\n   mysql\n      Its command.\n"
SAME = "   MySQL\n      A database.\n\n   MySQL\n      The same database.\n"


def build(text):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "conf.py"), "w") as file:
            file.write("")
        with open(os.path.join(folder, "index.rst"), "w") as file:
            file.write(HEAD + text)
        done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "pseudoxml", folder, os.path.join(folder, "out")], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True)
        return done.returncode, "duplicate term description" in done.stderr


different, same = build(DIFFERENT), build(SAME)
if different == (0, True):
    print("Issue reproduced")
else:
    print("Issue resolved" if (different, same) == ((0, False), (0, True)) else "Other issues")
