"""Singer SDK: a tap and a target of its kind, joined by a pipe, each in its own process. Validation as it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

here = Path(__file__).parent
with subprocess.Popen([sys.executable, here / "singer_tap.py"], stdout=subprocess.PIPE) as tap:
    target = subprocess.run([sys.executable, here / "singer_target.py"], stdin=tap.stdout, stdout=subprocess.DEVNULL, check=False)
    if tap.stdout:
        tap.stdout.close()
if tap.returncode or target.returncode:
    sys.exit(1)
print(json.dumps({"failed": []}))
