"""Run every check that continuous integration runs: format, lint, types, tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("cosim", "adapters", "networks", "tests")
CHECKS = (
    ("ruff", "format", "--check", *PACKAGES),
    ("ruff", "check", *PACKAGES),
    ("pyright", "--pythonpath", sys.executable),
    ("pytest", *sys.argv[1:]),
)


def main() -> int:
    """Run the checks in order and stop at the first that fails."""
    for check in CHECKS:
        print("$ python -m", *check, flush=True)
        done = subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
