"""Documentation of a function with such a tuple as a default."""
import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "conf.py"), "w") as file:
        file.write("")
    with open(os.path.join(folder, "index.rst"), "w") as file:
        file.write(".. py:function:: one(x=(1,))\n\n.. py:function:: two(x=(1, 2), y=())\n")
    out = os.path.join(folder, "out")
    done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "text", folder, out], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with open(os.path.join(out, "index.txt"), encoding="utf-8") as file:
        text = file.read()
if done.returncode or "two(x=(1, 2), y=())" not in text:
    print("Other issues")
elif "one(x=(1,))" in text:
    print("Issue resolved")
else:
    print("Issue reproduced" if "one(x=(1))" in text else "Other issues")
