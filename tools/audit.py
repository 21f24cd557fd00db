"""Compare the versions in constraints.txt with the known vulnerabilities, by pip-audit.

``python tools/audit.py [file]`` installs pip-audit beside the running Python if it is not there. The exit code is 0 if
nothing is known against any version, 1 if there is, and 2 if nobody could be asked, as without a network.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 20  # that the service may take to answer
FOUND, NOT_ASKED = 1, 2


def installed() -> bool:
    """Whether pip-audit is there, if need be from the package index."""
    if importlib.util.find_spec("pip_audit") is not None:
        return True
    quiet = ["--quiet", "--disable-pip-version-check", "--retries", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *quiet, "pip-audit"], check=False, capture_output=True
    )
    return done.returncode == 0


def audit(constraints: Path) -> int:
    """Ask for all versions in a file, print what is known, and return the exit code."""
    if not installed():
        print("pip-audit is not installed, and the package index cannot be reached: nothing was compared.")
        return NOT_ASKED
    how = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", str(SECONDS)]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), *how]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    pinned = sum("==" in line for line in constraints.read_text(encoding="utf-8").splitlines())
    if done.returncode == 0 and (done.stdout + done.stderr).count("could not be audited") < pinned:
        print(done.stdout + done.stderr, end="")
        return 0
    if "Found" in done.stderr and "vulnerabilit" in done.stderr:
        print(done.stdout + done.stderr, end="")
        return FOUND
    lines = [line for line in done.stderr.strip().splitlines() if done.returncode] or ["no answer"]
    print(f"The service that knows vulnerabilities cannot be asked: nothing was compared. ({lines[-1][:200]})")
    return NOT_ASKED


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "constraints.txt")
    sys.exit(audit(parser.parse_args().file))
