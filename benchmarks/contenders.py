"""The side that gives the orders: contenders are processes of contender.py, one library with one network each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Contender:
    """A process that fits and predicts on command."""

    def __init__(self, library: str, network: str, samples: int, python: str = sys.executable) -> None:
        script = [python, str(Path(__file__).with_name("contender.py")), library, network, str(samples)]
        self._process = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.times: dict[str, list[float]] = {"fit": [], "predict": []}
        self.memory = 0.0

    def tell(self, command: str) -> dict[str, Any]:
        """Return the answer to a command."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("{"):
            assert line, "the contender has ended"
        answer: dict[str, Any] = json.loads(line)
        self.memory = answer["memory"]
        return answer

    def quit(self) -> None:
        """End the process."""
        self._process.communicate("quit\n")
